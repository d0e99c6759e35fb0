"""Making one layer on trial with an engine's classes: its name, its tensors, and what portable kernels say of it."""

from __future__ import annotations

__all__ = ["Named", "Shaped", "first", "load", "named", "portable_refusals"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from mixprec_doctor.kernels.portable import PORTABLE, refusals
from mixprec_doctor.records.format import Format
from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.adapters.layers import TrialLayer

FUSED: Mapping[tuple[str, ...], str] = {
    ("q_proj", "k_proj", "v_proj"): "qkv_proj",
    ("gate_proj", "up_proj"): "gate_up_proj",
}
"""What models of the engines call their fused layers; configs may name these. Any other gets a name of ours."""
SILENT = frozenset({"g_idx", "weight_g_idx", "weight_shape", "qzeros", "weight_zero_point"})
"""Tensors that an engine may leave out for a format that does not need them; the numbers tell if it did."""


@dataclass(frozen=True)
class Named:
    """A layer's name in an engine's model, and the parts that its last word stands for, where it unites several."""

    prefix: str
    packed: Mapping[str, list[str]]


class Shaped(Protocol):
    """A layer of which only this is asked."""

    @property
    def format(self) -> Format:
        """How its weight lies."""

    @property
    def shape(self) -> LinearShape:
        """As one rank holds it."""


def named(unit: Sequence[str]) -> Named:
    """The name of the layer that unites checkpoint modules; a single one keeps its own."""
    if len(unit) == 1:
        return Named(unit[0], {})
    parent, leaves = unit[0].rpartition(".")[0], tuple(name.rpartition(".")[2] for name in unit)
    fused = FUSED.get(leaves, "fused_proj")
    return Named(f"{parent}.{fused}" if parent else fused, {fused: list(leaves)})


def load(made: torch.nn.Module, layer: TrialLayer) -> None:
    """Every tensor through its parameter's own loader. Raises ValueError for what has no place or was not filled."""
    parameters = dict(made.named_parameters(recurse=False))
    filled = set()
    for number, part in enumerate(layer.parts):
        for suffix, tensor in part.items():
            parameter = parameters.get(suffix)
            if parameter is None:
                if suffix in SILENT:
                    continue
                raise ValueError(f"the engine's layer has no parameter for the checkpoint's {suffix}")
            shard = (number,) if len(layer.parts) > 1 else ()
            parameter.weight_loader(parameter, tensor, *shard)
            filled.add(suffix)
    if missing := sorted(name for name, parameter in parameters.items() if parameter.numel() and name not in filled):
        raise ValueError(f"the checkpoint fills no {', '.join(missing)} of the engine's layer")


def portable_refusals(
    layer: Shaped, *, dtype: str, device: str, capability: int | None
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The portable kernels for the layer's format best first, each with why it cannot serve the layer here."""
    wanted = {name for kernel in PORTABLE for each in kernel.demands.values() for name in each.operators}
    operators = {name for name in wanted if hasattr(torch.ops.aten, name)}
    for kernel in PORTABLE:
        if layer.format.kind in kernel.kinds:
            yield (
                kernel.name,
                refusals(
                    kernel, layer.format, layer.shape, dtype=dtype, device=device, capability=capability,
                    operators=operators,
                ),
            )  # fmt: skip


def first(found: object) -> torch.Tensor:
    """The result of a linear layer that gives its bias beside it."""
    tensor = found[0] if isinstance(found, tuple) else found
    assert isinstance(tensor, torch.Tensor)  # noqa: S101  linear layers give it, alone or with a bias
    return tensor
