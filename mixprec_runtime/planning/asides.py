"""Asides: modules that quantizers leave in 16 bits by custom, whatever their config says of linear layers.

The routers of a mixture of experts, and in models of several modalities everything beside the language model.
"""

from __future__ import annotations

__all__ = ["TOWERS", "is_beside_language", "settle_asides"]

from collections.abc import Mapping

from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.checkpoint.formats import ModuleWeights, read_module
from mixprec_runtime.planning.assign import Assignment
from mixprec_runtime.planning.experts import beside, expert_layers, is_router
from mixprec_runtime.records.checkpoint import Checkpoint
from mixprec_runtime.records.mix import BASE_SOURCE

WITH_EXPERTS = "its experts"
"""What decides the source of a router that no rule names."""
MODALITIES = ("vision", "audio", "video", "image")
TOWERS = frozenset(
    {
        "visual", "aligner", "connector", "patch_merger", "projector", "mm_projector", "multi_modal_projector",
        "adapter", "image_newline", "merger", "perceiver",
    }
)  # fmt: skip
"""Parts of names beside the language model that do not tell their modality."""


def is_beside_language(module: str, config: Mapping[str, object]) -> bool:
    """Whether a module of a model with several modalities is none of its language model."""
    if not any(f"{modality}_config" in config for modality in MODALITIES):
        return False
    parts = module.split(".")
    return any(part in TOWERS or part.startswith(MODALITIES) for part in parts) or any(
        part.endswith(tuple(f"_{modality}" for modality in MODALITIES)) for part in parts
    )


def settle_asides(assigned: Mapping[str, Assignment], opened: Mapping[str, Checkpoint]) -> dict[str, Assignment]:
    """The assignments, with a place for asides that no rule names.

    A router goes with its experts, where their source has it plain: one that was smoothed has the scales in both. A
    module beside the language model that the default's source has plain stays with the base.
    """
    layers, base = expert_layers(assigned), opened[BASE_SOURCE]
    settled = {}
    for module, each in assigned.items():
        settled[module] = each
        if each.by not in ("default", "base"):
            continue
        if is_router(module, layers):
            near = assigned[layers[beside(module)][0]].source
            found = near if near in opened and _is_plain(opened[near], module) else BASE_SOURCE
            settled[module] = Assignment(source=found, by=WITH_EXPERTS)
        elif (
            is_beside_language(module, base.config) and each.source in opened and _is_plain(opened[each.source], module)
        ):
            settled[module] = Assignment(source=BASE_SOURCE, by="base")
    return settled


def _is_plain(source: Checkpoint | None, module: str) -> bool:
    if source is None:
        return False
    tensors = source.of_module(module)
    found = read_module(tensors, source.quantization, module=module) if tensors else None
    return isinstance(found, ModuleWeights) and found.format.kind is FormatKind.PLAIN
