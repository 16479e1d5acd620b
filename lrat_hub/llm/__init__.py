"""Language models: the client of chat servers, a vLLM server that is started for a stage, and prompts."""
