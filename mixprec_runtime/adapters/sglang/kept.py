"""Parameters that may stay as the engine made them, each with the reason; every other one has to be filled."""

from __future__ import annotations

__all__ = ["may_be_kept"]

import torch
from sglang.srt.layers.quantization.kv_cache import BaseKVCacheMethod

CACHE_SCALE = "a scale of the key-value cache; where no checkpoint has one the engine takes its default"
WORKED_OUT = {"g_idx_sort_indices": "worked out from g_idx once that is loaded"}
"""By the end of a parameter's name."""


def may_be_kept(model: torch.nn.Module) -> dict[str, str]:
    """Parameters by name that no checkpoint need fill, and why."""
    kept: dict[str, str] = {}
    for name, module in model.named_modules():
        cache = isinstance(getattr(module, "quant_method", None), BaseKVCacheMethod)
        for parameter in module._parameters:
            reason = CACHE_SCALE if cache else _worked_out(parameter)
            if reason is not None:
                kept[f"{name}.{parameter}"] = reason
    return kept


def _worked_out(parameter: str) -> str | None:
    return next((reason for end, reason in WORKED_OUT.items() if parameter.endswith(end)), None)
