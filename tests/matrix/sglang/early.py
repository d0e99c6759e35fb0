"""What keeps an early SGLang from making models on a machine without a GPU, beside the vLLM that it then needs."""

from __future__ import annotations

__all__ = ["with_a_capability", "with_a_config_of_vllm", "without_sums_over_gpus"]

import importlib
import importlib.util
import os

METHOD, QUESTION = "sglang.srt.layers.quantization.moe_wna16", "get_device_capability"


def with_a_config_of_vllm() -> None:
    """SGLang takes small layers from vLLM, which asks its own config how to run them; made here it looks for a GPU."""
    if importlib.util.find_spec("vllm") is None:
        return
    config = importlib.import_module("vllm.config")
    config._current_vllm_config = config.VllmConfig(device_config=config.DeviceConfig(device="cpu"))


def with_a_capability() -> None:
    """One method of SGLang calculates with the compute capability of a GPU that is not there; later it looks first."""
    module = importlib.import_module(METHOD)
    if getattr(module, QUESTION, lambda: (0, 0))() == (None, None):
        setattr(module, QUESTION, lambda: (9, 0))


def without_sums_over_gpus() -> None:
    """The first releases import their own sums over GPUs, which need a driver, before they look at the device."""
    utils = importlib.import_module("sglang.srt.utils")
    if hasattr(utils, "monkey_patch_p2p_access_check"):
        os.environ.setdefault("USE_VLLM_CUSTOM_ALLREDUCE", "1")
        utils.monkey_patch_p2p_access_check = lambda: None
