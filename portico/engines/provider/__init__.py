"""Somebody else's API, in its own dialect: Anthropic, Gemini, OpenAI Responses."""
