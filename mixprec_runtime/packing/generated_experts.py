"""Experts of generated models: transformers holds them stacked, most checkpoints one by one, under other names."""

from __future__ import annotations

__all__ = ["experts_of", "is_router", "leave_out", "saved_name"]

from collections.abc import Iterator, Mapping, Sequence

import torch

BLOCKS = {"mixtral": ("mlp", "block_sparse_moe")}
"""What transformers calls the block with the experts, and what the checkpoints of that model call it."""
PARTS = {"mixtral": ("w1", "w3", "w2")}
USUAL = ("gate_proj", "up_proj", "down_proj")


def saved_name(name: str, model_type: str) -> str:
    """A module's name in checkpoints, by its name in transformers."""
    ours, saved = BLOCKS.get(model_type, ("", ""))
    return ".".join(saved if part == ours else part for part in name.split(".")) if ours else name


def experts_of(name: str, module: torch.nn.Module, model_type: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """The linear modules that a stack of experts stands for, as ``(checkpoint name, (out, in))``; none of another."""
    both, down = getattr(module, "gate_up_proj", None), getattr(module, "down_proj", None)
    if not (isinstance(both, torch.nn.Parameter) and isinstance(down, torch.nn.Parameter) and down.dim() == 3):
        return
    hidden, middle = down.shape[1:]
    gate, up, outer = PARTS.get(model_type, USUAL)
    for number in range(down.shape[0]):
        parent = f"{saved_name(name, model_type)}.{number}"
        yield f"{parent}.{gate}", (middle, hidden)
        yield f"{parent}.{up}", (middle, hidden)
        yield f"{parent}.{outer}", (hidden, middle)


def is_router(name: str, model: torch.nn.Module) -> bool:
    """Whether a module stands beside experts and gates them: quantizers leave it as it is."""
    parent, _, leaf = name.rpartition(".")
    return leaf in ("gate", "shared_expert_gate") and hasattr(model.get_submodule(parent), "experts")


def leave_out(quantization: Mapping[str, object], routers: Sequence[str]) -> dict[str, object]:
    """A quantization config that names the routers among what is not quantized, as the tools of its method do."""
    said = dict(quantization)
    keys = {"compressed-tensors": "ignore", "fp8": "ignored_layers", "awq": "modules_to_not_convert"}
    key = keys.get(str(quantization.get("quant_method")))
    if key is not None and routers:
        before = said.get(key)
        said[key] = [*(before if isinstance(before, list) else ()), *routers]
    return said
