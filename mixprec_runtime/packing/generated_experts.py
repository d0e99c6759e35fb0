"""Names of generated models: what transformers holds under others, and experts, which most checkpoints hold singly."""

from __future__ import annotations

__all__ = ["experts_of", "is_aside", "leave_out", "saved_name"]

from collections.abc import Iterator, Mapping, Sequence

import torch

SAVED = {
    "mixtral": (".mlp.", ".block_sparse_moe."),
    "paligemma": ("model.vision_tower.", "model.vision_tower.vision_model."),
}
"""What transformers calls a part of the model, and what its checkpoints call it."""
PARTS = {"mixtral": ("w1", "w3", "w2")}
USUAL = ("gate_proj", "up_proj", "down_proj")


def saved_name(name: str, model_type: str) -> str:
    """A module's name in checkpoints, by its name in transformers."""
    ours, saved = SAVED.get(model_type, ("", ""))
    return f"{name}.".replace(ours, saved).removesuffix(".") if ours else name


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


def is_aside(name: str, model: torch.nn.Module) -> bool:
    """Whether quantizers leave a module as it is: it stands beside experts and gates them, or sees."""
    parent, _, leaf = name.rpartition(".")
    if any(part in name.split(".") for part in ("vision_tower", "multi_modal_projector")):
        return True
    return leaf in ("gate", "shared_expert_gate") and hasattr(model.get_submodule(parent), "experts")


def leave_out(quantization: Mapping[str, object], asides: Sequence[str]) -> dict[str, object]:
    """A quantization config that names the asides among what is not quantized, as the tools of its method do."""
    said = dict(quantization)
    keys = {"compressed-tensors": "ignore", "fp8": "ignored_layers", "awq": "modules_to_not_convert"}
    key = keys.get(str(quantization.get("quant_method")))
    if key is not None and asides:
        before = said.get(key)
        said[key] = [*(before if isinstance(before, list) else ()), *asides]
    return said
