"""Reference: what a checkpoint means in float32, computed without any engine.

Its modules import torch: they run in tests and tools, never in the command itself.
"""

__all__: list[str] = []
