"""Calibration: one forward pass through the real model, in which every linear layer is quantized as it is reached.

Before a layer runs, its quantizer sees the layer's inputs, which come from the already quantized layers before it,
and replaces the weights; so each layer makes up for what was lost before it ("true sequential").

The text is Python's own language reference as CPython ships it (module ``pydoc_data.topics``, PSF licence).
"""

from __future__ import annotations

__all__ = ["Quantizer", "calibration_text", "calibration_tokens", "quantize_in_forward", "shared_input_groups"]

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from mixprec_runtime.packing.grids import CodedLinear, Grid

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Quantizer = Callable[[torch.Tensor, torch.Tensor], CodedLinear]
"""From weight ``[out, in]`` and inputs ``[tokens, in]`` to the quantized layer."""


def calibration_text() -> str:
    """Python's language reference, some 460,000 characters, topics in alphabetical order."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return "\n".join(topics[name] for name in sorted(topics))


def calibration_tokens(tokenizer: PreTrainedTokenizerBase, *, sequences: int, length: int) -> torch.Tensor:
    """Token ids ``[sequences, length]`` spread evenly over the calibration text."""
    ids = torch.tensor(tokenizer(calibration_text(), add_special_tokens=False)["input_ids"], dtype=torch.int64)
    if len(ids) < sequences * length:
        raise ValueError(f"the calibration text has {len(ids)} tokens, wanted {sequences * length}")
    starts = torch.linspace(0, len(ids) - length, sequences).to(torch.int64)
    return torch.stack([ids[start : start + length] for start in starts.tolist()])


def shared_input_groups(names: Sequence[str]) -> list[list[str]]:
    """Modules of one parent that read the same activations: q, k and v; gate and up; any other alone."""
    kin = {"q_proj": "qkv", "k_proj": "qkv", "v_proj": "qkv", "gate_proj": "gate_up", "up_proj": "gate_up"}
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        parent, _, leaf = name.rpartition(".")
        groups.setdefault((parent, kin.get(leaf, leaf)), []).append(name)
    return list(groups.values())


def quantize_in_forward(
    model: PreTrainedModel,
    tokens: torch.Tensor,
    quantizer: Quantizer,
    *,
    report: Callable[[str], None] = lambda line: None,
) -> Mapping[str, CodedLinear]:
    """Quantize every linear layer of ``model.model`` (a Hugging Face decoder) in one forward pass.

    Layers with the same inputs are quantized as one matrix, so the Hessian is inverted once. The model is left with
    the dequantized weights. The embeddings and the output head are not touched. ``tokens`` is ``[sequences, length]``.
    """
    linears = {
        f"model.{name}": module for name, module in model.model.named_modules() if isinstance(module, torch.nn.Linear)
    }
    coded: dict[str, CodedLinear] = {}
    groups = shared_input_groups(list(linears))
    handles = []
    for group in groups:
        hook = _group_hook(group, linears, quantizer, coded, report, total=len(linears))
        handles.append(linears[group[0]].register_forward_pre_hook(hook))
    try:
        with torch.inference_mode():
            model.model(input_ids=tokens, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return {name: coded[name] for name in linears}


def _group_hook(
    group: Sequence[str],
    linears: Mapping[str, torch.nn.Linear],
    quantizer: Quantizer,
    coded: dict[str, CodedLinear],
    report: Callable[[str], None],
    *,
    total: int,
) -> Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], None]:
    """A pre-forward hook for the first module of a group: quantizes all of them from its input."""

    def quantize(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        activations = inputs[0].reshape(-1, inputs[0].shape[-1]).to(torch.float32)
        rows = [linears[name].weight.shape[0] for name in group]
        stacked = torch.cat([linears[name].weight.to(torch.float32) for name in group])
        whole = quantizer(stacked, activations)
        for name, part in zip(group, _split(whole, rows), strict=True):
            linears[name].weight.copy_(part.dequantized())
            coded[name] = part
        report(f"quantized {len(coded)} of {total} layers")

    return quantize


def _split(whole: CodedLinear, rows: Sequence[int]) -> list[CodedLinear]:
    """Cut a layer into layers of so many outputs each."""
    parts: list[CodedLinear] = []
    for codes, scales, zeros in zip(
        whole.codes.split(list(rows)),
        whole.grid.scales.split(list(rows)),
        whole.grid.zeros.split(list(rows)),
        strict=True,
    ):
        grid = Grid(scales=scales, zeros=zeros, group_size=whole.grid.group_size)
        parts.append(CodedLinear(codes=codes, grid=grid))
    return parts
