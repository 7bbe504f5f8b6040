"""OpenAI Embeddings: texts in, vectors out."""
