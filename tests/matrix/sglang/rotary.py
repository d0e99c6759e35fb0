"""What keeps SGLang from making a model with rotary embeddings on a machine without a GPU.

Without one it imports vLLM's operator, also where vLLM is not there and nobody is going to run the model. Told that it
is on a CPU, the same module uses PyTorch.
"""

from __future__ import annotations

__all__ = ["without_the_operator"]

import importlib

MODULES = ("sglang.srt.layers.rotary_embedding.base", "sglang.srt.layers.rotary_embedding")


def without_the_operator() -> None:
    """Let the engine's module of rotary embeddings know that there is a CPU and nothing else."""
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:  # earlier releases have one module, and always import the operator
            continue
        if hasattr(module, "_is_cpu"):
            module._is_cpu = True
            return


def register() -> None:
    """The same as a plugin of the engine's, for its own processes (entry point group ``sglang.srt.plugins``)."""
    without_the_operator()
