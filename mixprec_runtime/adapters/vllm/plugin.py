"""The plugin that vLLM calls in each of its processes (entry point group ``vllm.general_plugins``).

It adds one name: the quantization method ``mixprec``. Whatever else serving a mixture takes is imported and registered
when there is a mixture to serve; a process that never sees one is as if mixprec were not installed.
"""

from __future__ import annotations

__all__ = ["register"]

from mixprec_runtime.method import METHOD


def register() -> None:
    """Register the quantization method ``mixprec``; may be called any number of times."""
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS, register_quantization_config

    if METHOD in QUANTIZATION_METHODS:
        return
    from mixprec_runtime.adapters.vllm.entrance import MixprecEntrance

    register_quantization_config(METHOD)(MixprecEntrance)
