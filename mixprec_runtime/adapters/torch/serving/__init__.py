"""Serving: the embedded engine's answers over HTTP, as OpenAI's clients expect them."""
