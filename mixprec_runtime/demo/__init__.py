"""The demo's checkpoints: one real small model, and four quantized ones made from it."""

__all__: list[str] = []
