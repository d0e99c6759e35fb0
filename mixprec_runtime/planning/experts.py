"""Experts: the modules below a name part ``experts`` are one layer of the engine, and so they have one source.

Checkpoints hold them one by one (``mlp.experts.3.down_proj``, ``block_sparse_moe.experts.3.w2``) or stacked, a tensor
for all (``mlp.experts.gate_up_proj`` [experts, ...]). A shared expert (``shared_expert``, ``shared_experts``) is an
ordinary layer.
"""

from __future__ import annotations

__all__ = [
    "DOWN", "EXPERTS", "GATE", "UP", "StackedExperts", "beside", "expert_layer", "expert_layers", "is_router",
    "role_of", "spread", "unstacked",
]  # fmt: skip

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mixprec_runtime.checkpoint.formats import ModuleWeights
from mixprec_runtime.records.checkpoint import Checkpoint, TensorHeader
from mixprec_runtime.records.mix import BASE_SOURCE

EXPERTS = "experts"
ROUTERS = frozenset({"gate", "router", "shared_expert_gate"})
_BELOW = re.compile(r"(?P<layer>(?:.*?\.)?experts)(?:\.|$)")
_NUMBERED = re.compile(r"(?P<number>\d+)\.(?P<part>[^.]+)$")
GATE, UP, DOWN = "gate", "up", "down"
_ROLES = {"gate_proj": GATE, "w1": GATE, "up_proj": UP, "w3": UP, "down_proj": DOWN, "w2": DOWN}


def expert_layer(module: str) -> str | None:
    """The experts' layer that a module belongs to: its name up to the part ``experts``; None where it has none."""
    found = _BELOW.match(module)
    return found["layer"] if found else None


def expert_layers(modules: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The modules of each experts' layer, in the order in which they come."""
    layers: dict[str, list[str]] = {}
    for module in modules:
        if (layer := expert_layer(module)) is not None:
            layers.setdefault(layer, []).append(module)
    return {layer: tuple(members) for layer, members in layers.items()}


def role_of(module: str) -> str | None:
    """GATE, UP or DOWN: which of an expert's matrices a module is, by the last part of its name; None where unknown."""
    return _ROLES.get(module.rpartition(".")[2])


def is_router(module: str, layers: Mapping[str, object]) -> bool:
    """Whether a module decides which experts, or how much of the shared one, a token gets; it stands beside them."""
    return module.rpartition(".")[2] in ROUTERS and beside(module) in layers


def beside(module: str) -> str:
    """The name of the experts' layer that would stand beside a module."""
    parent = module.rpartition(".")[0]
    return f"{parent}.{EXPERTS}" if parent else EXPERTS


@dataclass(frozen=True, kw_only=True)
class StackedExperts:
    """How many experts a stacked layer has, and the shapes of one of them as linear modules: ``(out, in)``."""

    experts: int
    inner: tuple[int, int]  # of gate and up
    outer: tuple[int, int]  # of down

    @classmethod
    def of(cls, tensors: Mapping[str, TensorHeader]) -> StackedExperts | None:
        """From ``gate_up_proj`` and ``down_proj``, either way round; None for tensors of another kind."""
        both, down = tensors.get("gate_up_proj"), tensors.get("down_proj")
        if both is None or down is None or len(both.shape) != 3 or len(down.shape) != 3:
            return None
        experts, first, second = both.shape
        if down.shape == (experts, second, first // 2):
            return cls(experts=experts, inner=(first // 2, second), outer=(second, first // 2))
        if down.shape == (experts, second // 2, first):  # stored transposed
            return cls(experts=experts, inner=(second // 2, first), outer=(first, second // 2))
        return None

    def modules(self, layer: str, present: Iterable[str]) -> dict[str, tuple[int, int]] | None:
        """The modules, with their shapes, that a checkpoint has in place of the stack; None unless it has them all."""
        shapes: dict[str, tuple[int, int]] = {}
        seen: set[tuple[int, str]] = set()
        for module in present:
            numbered = _NUMBERED.fullmatch(module.removeprefix(f"{layer}."))
            role = role_of(module)
            if numbered is None or role is None:
                continue
            seen.add((int(numbered["number"]), role))
            shapes[module] = self.outer if role == DOWN else self.inner
        wanted = {(number, role) for number in range(self.experts) for role in (GATE, UP, DOWN)}
        return shapes if seen == wanted else None


def unstacked(
    layer: str, tensors: Mapping[str, TensorHeader], present: Iterable[str]
) -> dict[str, tuple[int, int]] | None:
    """What another checkpoint holds one by one of a layer that the base holds stacked: modules and their shapes.

    ``tensors`` are the base's, by suffix; ``present`` are the other checkpoint's modules. None where it has no such.
    """
    stacked = StackedExperts.of(tensors)
    members = [module for module in present if expert_layer(module) == layer]
    return stacked.modules(layer, members) if stacked is not None and members else None


def spread(
    weights: Mapping[str, ModuleWeights], chosen: Mapping[str, str], opened: Mapping[str, Checkpoint]
) -> dict[str, tuple[str, ModuleWeights]]:
    """The model's modules, each with the one of ``weights`` that it stands for, and its plain weight.

    A stack of experts whose chosen source holds them one by one becomes these modules; all others stay as they are.
    """
    found: dict[str, tuple[str, ModuleWeights]] = {}
    for module, plain in weights.items():
        source = opened.get(chosen[module])
        parts: Mapping[str, tuple[int, int]] | None = None
        if source is not None and expert_layer(module) == module and not source.of_module(module):
            parts = unstacked(module, opened[BASE_SOURCE].of_module(module), source.modules)
        for name, shape in parts.items() if parts else ((module, plain.shape),):
            found[name] = (module, replace(plain, shape=shape))
    return found
