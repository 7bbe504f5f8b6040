"""OpenAI Completions, the older way: text in, the text that follows out."""
