"""The upper part of a fit's picture: what layers lose from each source, and below where each unit comes from."""

from __future__ import annotations

__all__ = ["draw_layers"]

import math

from mixprec_runtime.records.fit import ChoiceUnit
from mixprec_runtime.records.fit_report import FitReport
from mixprec_runtime.reports.fit_look import (
    Grid,
    colours,
    grid_of,
    layer_losses,
    letters,
    loss_figure,
    loss_unit,
)
from mixprec_runtime.reports.fit_style import sign_class
from mixprec_runtime.reports.scales import Scale, log_or_linear
from mixprec_runtime.reports.sizes import human_bytes
from mixprec_runtime.reports.svg import element, text

LABELS = 150.0  # width of the kinds' names
NAME = 23  # characters of one
CURVES = 190.0  # height of the losses
ROW = 22.0
GAP = 14.0  # before what stands in no layer
SIGNED, NUMBERED = 10.0, 22.0  # width that a letter and a number need


class _Places:
    """Where columns stand."""

    def __init__(self, grid: Grid, left: float, width: float) -> None:
        self.left = left + LABELS
        numbers = [layer for layer in grid.layers if layer is not None]
        apart = GAP if None in grid.layers and numbers else 0.0
        self.pitch = min((width - LABELS - apart) / max(len(grid.layers), 1), 84.0)
        self._starts = {layer: self.left + at * self.pitch for at, layer in enumerate(grid.layers)}
        if None in self._starts:
            self._starts[None] += apart
        self.right = max(self._starts.values(), default=self.left) + self.pitch

    def start(self, layer: int | None) -> float:
        return self._starts[layer]

    def middle(self, layer: int | None) -> float:
        return self._starts[layer] + self.pitch / 2


def draw_layers(report: FitReport, *, left: float, top: float, width: float) -> tuple[str, float]:
    """The part as markup, and how high it is."""
    grid = grid_of(report.problem)
    places = _Places(grid, left, width)
    classes = colours(report)
    drawn = [element("text", text("Loss of each layer, were it taken from one source"), x=left, y=top + 4, klass="sub")]
    drawn.append(element("text", text(loss_unit(report.losses)), x=places.left, y=top + 22, klass="soft"))
    floor = top + 30 + CURVES
    losses = {source: layer_losses(report, source) for source in report.sources}
    mine = _chosen_losses(report)
    every = [loss for each in (*losses.values(), mine) for loss in each.values()]
    scale = log_or_linear(every, start=floor, end=top + 34)
    drawn += _axis(scale, places)
    for source in report.sources:
        if any(losses[source].values()):
            drawn.append(_curve(report, source, losses[source], scale, places, klass=classes[source]))
    drawn.append(_mine(mine, scale, places))
    drawn.append(element("text", text("Where each unit comes from"), x=left, y=floor + 30, klass="sub"))
    rows, height = _rows(report, grid, places, top=floor + 40)
    return element("g", *drawn, *rows), floor + 40 + height - top


def _chosen_losses(report: FitReport) -> dict[int | None, float]:
    found: dict[int | None, list[float]] = {}
    for unit in report.problem.units:
        nats = report.losses.alone[unit.name, report.chosen.sources[unit.name]]
        found.setdefault(unit.layer, []).append(nats)
    return {layer: math.fsum(each) for layer, each in found.items()}


def _axis(scale: Scale, places: _Places) -> list[str]:
    drawn = []
    for mark in scale.marks:
        y = scale.at(mark)
        base = not scale.log and mark == 0
        drawn.append(element("line", x1=places.left, x2=places.right, y1=y, y2=y, klass="base" if base else "grid"))
        drawn.append(element("text", text(f"{mark:g}"), x=places.left - 8, y=y + 4, klass="soft end"))
    if scale.log:
        y = scale.start if scale.nothing is None else scale.nothing
        drawn.append(element("line", x1=places.left, x2=places.right, y1=y, y2=y, klass="base"))
    if scale.nothing is not None:
        y = scale.nothing
        drawn.append(element("text", text("0"), x=places.left - 8, y=y + 4, klass="soft end"))
    return drawn


def _curve(
    report: FitReport, source: str, losses: dict[int | None, float], scale: Scale, places: _Places, *, klass: str
) -> str:
    drawn = [_path(losses, scale, places, klass=f"line {klass}")]
    estimated = {
        unit.layer for unit in report.problem.units if (unit.name, source) in report.losses.scaled
    }  # fmt: skip
    size = 3.0 if places.pitch >= 16 else 2.0
    for layer, loss in losses.items():
        about = "~" if layer in estimated else ""
        tip = element("title", text(f"{_layer(layer)} from {source}: {about}{loss_figure(loss)}"))
        name = f"dot {klass} open" if layer in estimated else f"dot {klass}"
        drawn.append(element("circle", tip, cx=places.middle(layer), cy=scale.at(loss), r=size, klass=name))
    return element("g", *drawn)


def _mine(losses: dict[int | None, float], scale: Scale, places: _Places) -> str:
    drawn = [_path(losses, scale, places, klass="mine")]
    for layer, loss in losses.items():
        tip = element("title", text(f"{_layer(layer)} in this mixture: {loss_figure(loss)}"))
        x, y, half = places.middle(layer), scale.at(loss), min(places.pitch * 0.32, 7.0)
        drawn.append(element("line", tip, x1=x - half, x2=x + half, y1=y, y2=y, klass="held"))
    return element("g", *drawn)


def _path(losses: dict[int | None, float], scale: Scale, places: _Places, *, klass: str) -> str:
    """Straight from layer to layer; what is in no layer has its mark alone."""
    numbered = sorted((layer, loss) for layer, loss in losses.items() if layer is not None)
    points = " ".join(f"{places.middle(layer):.1f},{scale.at(loss):.1f}" for layer, loss in numbered)
    return element("polyline", points=points, klass=klass) if len(numbered) > 1 else ""


def _rows(report: FitReport, grid: Grid, places: _Places, *, top: float) -> tuple[list[str], float]:
    classes, signs = colours(report), letters(report.sources)
    drawn = []
    for at, kind in enumerate(grid.kinds):
        y = top + at * ROW
        name = kind if len(kind) <= NAME else "…" + kind[len(kind) - NAME + 1 :]
        label = (text(name), element("title", text(kind)))
        drawn.append(element("text", *label, x=places.left - 8, y=y + ROW / 2 + 4, klass="end"))
        for layer in grid.layers:
            units = grid.units.get((kind, layer), ())
            height = ROW / max(len(units), 1)
            for part, unit in enumerate(units):
                box = (places.start(layer), y + part * height, places.pitch, height)
                drawn.append(_cell(report, unit, box, klass=classes[report.chosen.sources[unit.name]], signs=signs))
    bottom = top + len(grid.kinds) * ROW
    drawn += _numbers(grid, places, y=bottom + 14)
    return drawn, len(grid.kinds) * ROW + 44


def _cell(
    report: FitReport, unit: ChoiceUnit, box: tuple[float, float, float, float], *, klass: str, signs: dict[str, str]
) -> str:
    x, y, width, height = box
    gap = 1.0 if width >= 8 else 0.5
    inner = {"x": x + gap, "y": y + gap, "width": width - 2 * gap, "height": height - 2 * gap}
    drawn = [element("title", text(_tip(report, unit))), element("rect", **inner, rx=2, klass=klass)]
    if width >= SIGNED and height >= SIGNED:
        sign = text(signs[report.chosen.sources[unit.name]])
        name = f"sign {sign_class(klass)}"
        drawn.append(element("text", sign, x=x + width / 2, y=y + height / 2 + 3.5, klass=name))
    return element("g", *drawn, klass="cell")


def _tip(report: FitReport, unit: ChoiceUnit) -> str:
    lines = [unit.name]
    for option in unit.options:
        choice = (unit.name, option.source)
        mark = "→ " if report.chosen.sources[unit.name] == option.source else "   "
        about = "~" if choice in report.losses.scaled else ""
        loss = loss_figure(report.losses.alone[choice])
        lines.append(f"{mark}{option.source}, {option.format.name}: {human_bytes(option.bytes)}, loses {about}{loss}")
    return "\n".join(lines)


def _numbers(grid: Grid, places: _Places, *, y: float) -> list[str]:
    numbers = [layer for layer in grid.layers if layer is not None]
    every = next((n for n in (1, 2, 5, 10, 20, 50, 100) if n * places.pitch >= NUMBERED), 200)
    drawn = [
        element("text", text(str(layer)), x=places.middle(layer), y=y, klass="soft mid")
        for layer in numbers if layer % every == 0
    ]  # fmt: skip
    if numbers:
        x = (places.start(numbers[0]) + places.start(numbers[-1]) + places.pitch) / 2
        drawn.append(element("text", text("layer"), x=x, y=y + 17, klass="soft mid"))
    return drawn


def _layer(layer: int | None) -> str:
    return f"layer {layer}" if layer is not None else "outside of the layers"
