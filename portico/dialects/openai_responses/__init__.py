"""OpenAI Responses, without state: what is sent is all there is."""
