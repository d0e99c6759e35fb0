"""Parameters that may stay as the engine made them, each with the reason; every other one has to be filled."""

from __future__ import annotations

__all__ = ["may_be_kept"]

import torch
from vllm.model_executor.layers.quantization.kv_cache import BaseKVCacheMethod

CACHE_SCALE = "a scale of the key-value cache; where no checkpoint has one the engine takes its default"
EXPERT_BIAS = "a bias of experts, for tools that write one; the engine takes it away where none was loaded"
WORKED_OUT = {"g_idx_sort_indices": "worked out from g_idx once that is loaded"}
"""By the end of a parameter's name."""
EXPERT_BIASES = frozenset({"w13_bias", "w2_bias"})


def may_be_kept(model: torch.nn.Module) -> dict[str, str]:
    """Parameters by name that no checkpoint need fill, and why."""
    kept: dict[str, str] = {}
    for name, module in model.named_modules():
        cache = isinstance(getattr(module, "quant_method", None), BaseKVCacheMethod)
        for parameter in module._parameters:
            reason = CACHE_SCALE if cache else _worked_out(parameter)
            if hasattr(module, "_loaded_expert_biases") and parameter in EXPERT_BIASES:
                reason = EXPERT_BIAS
            if reason is not None:
                kept[f"{name}.{parameter}"] = reason
    return kept


def _worked_out(parameter: str) -> str | None:
    return next((reason for end, reason in WORKED_OUT.items() if parameter.endswith(end)), None)
