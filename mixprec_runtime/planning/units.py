"""Fused units: modules that an engine keeps in one parameter, so that they have one source.

Without an engine there is nothing to read this from; the table holds the fusions that the engines' models for
decoders share, and a matrix test re-derives it from the ``packed_modules_mapping`` of an installed engine.
The adapter compares again with the mapping of the model that is really loaded.
"""

from __future__ import annotations

__all__ = ["FUSED", "Unit", "units_of"]

from collections.abc import Iterable
from dataclasses import dataclass

from mixprec_runtime.planning.experts import expert_layer, expert_layers

FUSED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("qkv_proj", ("q_proj", "k_proj", "v_proj")),
    ("gate_up_proj", ("gate_proj", "up_proj")),
)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Modules that must have one source; ``name`` is what an engine calls their union."""

    name: str
    members: tuple[str, ...]


def units_of(modules: Iterable[str]) -> tuple[Unit, ...]:
    """The fused units among the modules; a module that is in none is a unit of its own and not listed."""
    present = dict.fromkeys(modules)
    units: dict[str, Unit] = {}
    for layer, members in expert_layers(present).items():
        if len(members) > 1:
            units[layer] = Unit(name=layer, members=members)
    for module in present:
        if expert_layer(module) is not None:
            continue
        parent, _, leaf = module.rpartition(".")
        for name, parts in FUSED:
            if leaf in parts:
                full = f"{parent}.{name}" if parent else name
                siblings = tuple(f"{parent}.{part}" if parent else part for part in parts)
                members = tuple(sibling for sibling in siblings if sibling in present)
                if len(members) > 1:
                    units.setdefault(full, Unit(name=full, members=members))
    return tuple(units.values())
