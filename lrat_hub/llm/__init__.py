"""Language models: the client of chat servers, a vLLM server of one's own, and prompts."""
