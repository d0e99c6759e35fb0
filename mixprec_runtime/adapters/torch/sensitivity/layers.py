"""What each choice of a layer's units loses: changed in that layer, then followed through the layers behind it."""

from __future__ import annotations

__all__ = ["JOINT", "Measured", "UnitChoices", "joint", "measure_layer", "passes_of"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from mixprec_runtime.adapters.torch.sensitivity.staged import Reading, StagedModel, Swap

JOINT = "*"
"""In place of a unit's name: all units of the layer that are measured from this source."""


@dataclass(frozen=True, kw_only=True)
class UnitChoices:
    """A unit of a layer (None: behind all layers), and the modules that come with it from each of its sources."""

    name: str
    layer: int | None
    modules: Mapping[str, tuple[str, ...]]  # by source, without the base


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One choice: how far it moves its layer's output, and its loss in nats a token where it was followed."""

    unit: str
    source: str
    change: float
    nats: float | None


def passes_of(layer: int | None, depth: int) -> int:
    """Layers that a choice there is followed through, the head counted as one."""
    return 1 if layer is None else depth - layer + 1


def measure_layer(
    model: StagedModel,
    reading: Reading,
    units: Sequence[UnitChoices],
    known: Mapping[tuple[str, str], Measured],
    *,
    share: float,
    moved: Callable[[int], None],
) -> list[Measured]:
    """What is not known yet of the units of one layer.

    Of a unit's sources only those are followed whose change is at least ``share`` of the largest of them. Where
    several units are, they are followed together once for each source too. ``moved`` hears of each layer passed.
    """
    at = units[0].layer
    if at is None:
        return [_head(model, reading, unit, source, moved) for unit, source in _open(units, known)]
    changed: dict[tuple[str, str], float] = {key: each.change for key, each in known.items()}
    outputs: dict[tuple[str, str], torch.Tensor] = {}
    for unit in units:
        for source in unit.modules:
            if (key := (unit.name, source)) not in changed or _worth(unit, source, changed, share):
                if key in known and known[key].nats is not None:
                    continue
                outputs[key], changed[key] = model.change(reading, at, [(source, unit.modules[source])])
    followed = [
        (unit.name, source)
        for unit in units
        for source in unit.modules
        if _worth(unit, source, changed, share) and (unit.name, source) in outputs
    ]
    dropped = outputs.keys() - set(followed)
    for key in dropped:
        del outputs[key]
    for source, swaps in _together(units, changed, share).items():
        key = (joint(at), source)
        if key not in known:
            outputs[key], changed[key] = model.change(reading, at, swaps)
            followed.append(key)
    nats = _followed(model, reading, at, [outputs[key] for key in followed], moved)
    found = dict(zip(followed, nats, strict=True))
    keys = [key for key in changed if key not in known or key in found]
    return [Measured(unit=u, source=s, change=changed[u, s], nats=found.get((u, s))) for u, s in keys]


def joint(at: int) -> str:
    """What stands for a unit's name where all of a layer are taken from one source."""
    return f"{at}{JOINT}"


def _worth(unit: UnitChoices, source: str, changed: Mapping[tuple[str, str], float], share: float) -> bool:
    sizes = [changed[unit.name, each] for each in unit.modules if (unit.name, each) in changed]
    return (unit.name, source) in changed and changed[unit.name, source] >= share * max(sizes)


def _together(
    units: Sequence[UnitChoices], changed: Mapping[tuple[str, str], float], share: float
) -> dict[str, list[Swap]]:
    """Swaps of the units that are followed for a source, for each source with at least two."""
    swaps: dict[str, list[Swap]] = {}
    for unit in units:
        for source, modules in unit.modules.items():
            if _worth(unit, source, changed, share):
                swaps.setdefault(source, []).append((source, modules))
    return {source: each for source, each in swaps.items() if len(each) > 1}


def _open(units: Sequence[UnitChoices], known: Mapping[tuple[str, str], Measured]) -> list[tuple[UnitChoices, str]]:
    return [(unit, source) for unit in units for source in unit.modules if (unit.name, source) not in known]


def _head(
    model: StagedModel, reading: Reading, unit: UnitChoices, source: str, moved: Callable[[int], None]
) -> Measured:
    nats, _ = model.judge(reading, model.last(reading), [(source, unit.modules[source])])
    moved(1)
    return Measured(unit=unit.name, source=source, change=nats, nats=nats)


def _followed(
    model: StagedModel, reading: Reading, at: int, outputs: Sequence[torch.Tensor], moved: Callable[[int], None]
) -> list[float]:
    if not outputs:
        return []
    last: list[torch.Tensor] = []
    for states in model.go_on(reading, at, outputs):
        last = states
        moved(1)
    return [model.compare(reading, state) for state in last]
