"""Tensors that a plan leaves out of the checkpoints it takes from, each with the reason: none is dropped in silence."""

from __future__ import annotations

__all__ = ["left_out"]

from collections.abc import Mapping, Sequence

from mixprec_runtime.planning.modules import is_derived
from mixprec_runtime.records.checkpoint import Checkpoint
from mixprec_runtime.records.plan import LayerPlan, LeftOut

DERIVED = "the model works it out itself, or has it under another name"
ZEROS = "only zeros, for which the base model has no place"
FOREIGN = "the base model has no such module"


def left_out(
    opened: Mapping[str, Checkpoint], layers: Sequence[LayerPlan], config: Mapping[str, object]
) -> tuple[LeftOut, ...]:
    """Tensors of modules that a source gives, and of modules that the plan does not know; ``config`` is the base's.

    Tensors of a module that comes from another source are no news: that is what a mixture is.
    """
    sources = {layer.layer: layer.source for layer in layers}
    planned = {(layer.source, tensor.name) for layer in layers for tensor in layer.tensors}
    used = {layer.source for layer in layers}
    found = []
    for name, checkpoint in opened.items():
        for tensor in checkpoint.tensors if name in used else ():
            if (name, tensor) not in planned and (why := _why(tensor, name, sources, config)) is not None:
                found.append(LeftOut(name=tensor, source=name, why=why))
    return tuple(found)


def _why(tensor: str, source: str, sources: Mapping[str, str], config: Mapping[str, object]) -> str | None:
    module, _, suffix = tensor.rpartition(".")
    if is_derived(tensor, config):
        return DERIVED
    if module not in sources:
        return None if any(known.startswith(f"{module}.") for known in sources) else FOREIGN
    if sources[module] != source:
        return None
    return ZEROS if suffix == "bias" else "its module has no such parameter in the base model"
