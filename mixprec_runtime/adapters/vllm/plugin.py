"""The plugin that vLLM calls in each of its processes (entry point group ``vllm.general_plugins``).

It only adds names: the quantization method and the load format ``mixprec``. A model that asks for neither is
served as if mixprec were not installed.
"""

from __future__ import annotations

__all__ = ["register"]

from mixprec_runtime.runfolder import METHOD


def register() -> None:
    """Register the ``mixprec`` quantization config and loader; may be called any number of times."""
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS, register_quantization_config
    from vllm.model_executor.model_loader import register_model_loader

    if METHOD in QUANTIZATION_METHODS:
        return
    from mixprec_runtime.adapters.vllm.loader import MixprecModelLoader
    from mixprec_runtime.adapters.vllm.quantization import MixprecConfig

    register_quantization_config(METHOD)(MixprecConfig)
    register_model_loader(METHOD)(MixprecModelLoader)
