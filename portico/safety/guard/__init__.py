"""A guard model behind an OpenAI-compatible server, and what is done with its word."""
