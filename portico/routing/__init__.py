"""Where it goes: model name to ordered deployments."""
