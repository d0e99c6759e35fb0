"""Packing: 4-bit weights of real models, written in the layouts of AutoGPTQ and AutoAWQ.

Its modules import torch: they run where checkpoints are made, never in the command itself.
"""

__all__: list[str] = []
