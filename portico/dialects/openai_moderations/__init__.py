"""OpenAI Moderations: texts and images in, a judgement of each out."""
