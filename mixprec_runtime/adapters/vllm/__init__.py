"""The doors into vLLM: a plugin, a quantization config, a loader, and the server's command line."""
