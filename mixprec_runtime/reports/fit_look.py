"""What all reports of a fit share: units as a grid of kinds and layers, and a letter and a colour for each source."""

from __future__ import annotations

__all__ = ["Grid", "colours", "formats_of", "grid_of", "layer_losses", "letters", "loss_figure", "loss_unit"]

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mixprec_runtime.records.fit import ChoiceUnit, Losses, Problem
from mixprec_runtime.records.fit_report import FitReport
from mixprec_runtime.reports.memory_style import colour_classes

UNITS = {"kl": "nats a token", "error": "relative squared error"}


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Kinds as rows, in the model's order; layers as columns, and None for what is in no layer."""

    kinds: tuple[str, ...]
    layers: tuple[int | None, ...]
    units: Mapping[tuple[str, int | None], tuple[ChoiceUnit, ...]]


def grid_of(problem: Problem) -> Grid:
    """Where each unit stands; kinds of layers come before those that are in none."""
    ordered = sorted(problem.units, key=lambda unit: unit.layer is None)
    numbers = sorted({unit.layer for unit in ordered if unit.layer is not None})
    outside = (None,) if any(unit.layer is None for unit in ordered) else ()
    units: dict[tuple[str, int | None], tuple[ChoiceUnit, ...]] = {}
    for unit in ordered:
        units[unit.kind, unit.layer] = (*units.get((unit.kind, unit.layer), ()), unit)
    kinds = tuple(dict.fromkeys(unit.kind for unit in ordered))
    return Grid(kinds=kinds, layers=(*numbers, *outside), units=units)


def letters(sources: Iterable[str]) -> dict[str, str]:
    """One sign for each source: the first letter or digit of its name that is still free."""
    found: dict[str, str] = {}
    for source in sources:
        wanted = [each.upper() for each in source if each.isascii() and each.isalnum()]
        free = (each for each in [*wanted, *"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"] if each not in found.values())
        found[source] = next(free, "?")
    return found


def formats_of(problem: Problem) -> dict[str, tuple[str, ...]]:
    """Names of the formats that each source has units in, the one of most parameters first."""
    sizes: dict[str, dict[str, int]] = {}
    for unit in problem.units:
        for option in unit.options:
            mine = sizes.setdefault(option.source, {})
            mine[option.format.name] = mine.get(option.format.name, 0) + unit.parameters
    return {source: tuple(sorted(mine, key=lambda name: -mine[name])) for source, mine in sizes.items()}


def colours(report: FitReport) -> dict[str, str]:
    """A colour class for each source: that of its format in every picture, where no other source has it."""
    formats = formats_of(report.problem)
    names: dict[str, str] = {}
    for source in report.sources:
        name = formats[source][0]
        names[source] = name if name not in names.values() else f"{name}-{source}"
    classes = colour_classes(names.values())
    return {source: classes[name] for source, name in names.items()}


def layer_losses(report: FitReport, source: str) -> dict[int | None, float]:
    """What the units of each layer lose from that source, one by one and summed up; layers without it are left out."""
    alone = report.losses.alone
    found: dict[int | None, list[float]] = {}
    for unit in report.problem.units:
        if any(option.source == source for option in unit.options):
            found.setdefault(unit.layer, []).append(alone[unit.name, source])
    return {layer: math.fsum(each) for layer, each in found.items() if all(map(math.isfinite, each))}


def loss_unit(losses: Losses) -> str:
    """What a loss is counted in."""
    return UNITS.get(losses.method, losses.method)


def loss_figure(loss: float) -> str:
    """A loss with three digits that count: ``0.0507``, ``3.2e-06``."""
    if not math.isfinite(loss):
        return "-"
    if loss == 0:
        return "0"
    return f"{loss:.4f}" if abs(loss) >= 0.1 else f"{loss:.3g}" if abs(loss) >= 1e-4 else f"{loss:.1e}"
