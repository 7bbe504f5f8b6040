"""Any server that speaks OpenAI Chat Completions: llama.cpp, vLLM, SGLang, a provider."""
