"""Renderers: a record in, text out; nothing here prints."""
