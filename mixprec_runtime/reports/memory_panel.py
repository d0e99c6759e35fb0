"""One panel of a memory picture: a column per layer, its units stacked, planned bytes as outlines."""

from __future__ import annotations

__all__ = ["Panel", "draw_panel"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mixprec_runtime.reports.memory_columns import Column, Segment
from mixprec_runtime.reports.sizes import human_bytes
from mixprec_runtime.reports.svg import element, steps, text

AXIS = 64  # width of the axis's figures
WIDEST = 44.0
ROOM = 1.5  # a column that is outside of the layers and this much higher than all of them is cut
CUT_ROOM = 22  # height above the columns for the figure of a cut one
NUMBER = 22  # width that the number of a layer needs
NAMED = 64  # height of the names below columns that have some


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What is drawn, and where."""

    title: str
    columns: tuple[Column, ...]
    beside: tuple[Column, ...]  # of all panels of the picture: they share one scale
    measured: bool
    classes: Mapping[str, str]
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """From bytes to heights: ``floor`` is the y of nothing, ``top`` that of the highest step."""

    floor: float
    top: float
    ceiling: float  # bytes
    left: float
    pitch: float

    def y(self, size: float) -> float:
        return self.floor - (self.floor - self.top) * min(size / self.ceiling, 1)

    def height(self, size: float) -> float:
        return (self.floor - self.top) * size / self.ceiling


def draw_panel(panel: Panel) -> tuple[str, float]:
    """The panel as markup, and how high it is."""
    columns = panel.columns
    layers = max((column.largest for column in panel.beside if column.stack is not None), default=0)
    every = max((column.largest for column in panel.beside), default=0)
    ceiling = every if every <= ROOM * layers or not layers else layers
    marks = steps(ceiling, wanted=6 if panel.height > 200 else 4)
    cut = every > marks[-1]
    top = panel.top + 18 + (CUT_ROOM if cut else 0)
    pitch = min(WIDEST, (panel.width - AXIS) / max(len(columns), 1))
    scale = _Scale(floor=top + panel.height, top=top, ceiling=marks[-1], left=panel.left + AXIS, pitch=pitch)
    drawn = [element("text", text(panel.title), x=panel.left, y=panel.top + 4, klass="sub")]
    drawn += _axis(marks, scale, right=scale.left + max(pitch * len(columns), 200))
    for at, column in enumerate(columns):
        drawn.append(_column(column, at, scale, panel))
    drawn += _labels(columns, scale)
    named = any(column.stack is None for column in columns) or len({column.stack for column in columns}) > 1
    return element("g", *drawn), scale.floor - panel.top + (NAMED if named else 0) + 40


def _axis(marks: Sequence[float], scale: _Scale, *, right: float) -> list[str]:
    drawn = []
    for mark in marks:
        y = scale.y(mark)
        drawn.append(element("line", x1=scale.left, x2=right, y1=y, y2=y, klass="grid" if mark else "base"))
        label = human_bytes(mark).replace(".0 ", " ") if mark else "0"
        drawn.append(element("text", text(label), x=scale.left - 8, y=y + 4, klass="soft end"))
    return drawn


def _column(column: Column, at: int, scale: _Scale, panel: Panel) -> str:
    x = scale.left + (at + 0.1) * scale.pitch
    width = 0.8 * scale.pitch
    drawn = [element("title", text(_told(column)))]
    done_fill = done_plan = 0
    for segment in column.segments:
        size = segment.loaded if panel.measured else segment.planned
        drawn.append(_segment(segment, size or 0, done_fill, x=x, width=width, scale=scale, panel=panel))
        done_fill += size or 0
    for segment in column.segments:
        if segment.planned and panel.measured:
            y = scale.y(done_plan + segment.planned)
            height = scale.y(done_plan) - y
            if height > 0.05:
                drawn.append(element("rect", x=x, y=y, width=width, height=height, klass="planned"))
        done_plan += segment.planned
    if column.bf16 and column.bf16 <= scale.ceiling:
        y = scale.y(column.bf16)
        drawn.append(element("line", x1=x - 0.05 * width, x2=x + 1.05 * width, y1=y, y2=y, klass="bf16"))
    if column.held is not None and column.held <= scale.ceiling:
        y = scale.y(column.held)
        drawn.append(element("line", x1=x - 0.08 * width, x2=x + 1.08 * width, y1=y, y2=y, klass="held"))
    if max(column.planned, column.loaded or 0) > scale.ceiling:
        drawn.append(_cut(column, x, width, scale))
    return element("g", *drawn)


def _segment(segment: Segment, size: int, below: int, *, x: float, width: float, scale: _Scale, panel: Panel) -> str:
    y = scale.y(below + size)
    height = scale.y(below) - y
    if height < 0.02:
        return ""
    name = panel.classes.get(segment.unit.format, "unfilled")
    bar = element("rect", x=x, y=y, width=width, height=height, klass=name)
    return element("g", element("title", text(_tip(segment))), bar, klass="seg")


def _cut(column: Column, x: float, width: float, scale: _Scale) -> str:
    """A break through a column that goes on far above the axis, and its bytes over it."""
    y, quarter = scale.top + 14, width / 4
    points = " ".join(f"{x - 2 + at * (quarter + 1):.1f},{y + (3 if at % 2 else -3):.1f}" for at in range(5))
    size = max(column.planned, column.loaded or 0)
    label = element("text", text(human_bytes(size)), x=x + width / 2, y=scale.top - 7, klass="mid")
    return element("polyline", points=points, klass="break") + label


def _labels(columns: Sequence[Column], scale: _Scale) -> list[str]:
    """Numbers below layers, as many as there is room for; names below other columns and below whole stacks."""
    drawn, y = [], scale.floor + 16
    every = next((n for n in (1, 2, 5, 10, 20, 50, 100) if n * scale.pitch >= NUMBER), 200)
    stacks = {column.stack for column in columns if column.stack is not None}
    for at, column in enumerate(columns):
        x = scale.left + (at + 0.5) * scale.pitch
        if column.stack is None:
            turn = f"rotate(-45 {x:.1f} {y:.1f})"
            drawn.append(element("text", text(column.label), x=x + 4, y=y, klass="soft end", transform=turn))
        elif int(column.label) % every == 0:
            drawn.append(element("text", text(column.label), x=x, y=y, klass="soft mid"))
    for stack, found in groupby(enumerate(columns), key=lambda pair: pair[1].stack):
        span = [at for at, _ in found]
        if stack is not None:
            x = scale.left + (span[0] + len(span) / 2) * scale.pitch
            name = stack if len(stacks) > 1 else "layer"
            drawn.append(element("text", text(name), x=x, y=y + 18, klass="soft mid"))
    return drawn


def _tip(segment: Segment) -> str:
    unit = segment.unit
    origin = f"{unit.format} from {unit.source}" if unit.source else "filled by no checkpoint"
    lines = [unit.unit, origin + (f", served by {unit.method}" if unit.method else "")]
    lines.append(_sizes(segment.planned, segment.loaded, segment.held, unit.bf16_bytes))
    if unit.uniform:
        lines.append("alone: " + ", ".join(f"{name} {human_bytes(size)}" for name, size in unit.uniform.items()))
    return "\n".join(lines)


def _told(column: Column) -> str:
    name = f"{column.stack}.{column.label}" if column.stack else column.label
    return f"{name}\n{_sizes(column.planned, column.loaded, column.held, column.bf16)}"


def _sizes(planned: int, loaded: int | None, held: int | None, bf16: int) -> str:
    words = [f"planned {human_bytes(planned)}"]
    words += [f"loaded {human_bytes(loaded)}"] if loaded is not None else []
    words += [f"after repacking {human_bytes(held)}"] if held is not None else []
    words += [f"BF16 {human_bytes(bf16)}"] if bf16 else []
    return ", ".join(words)
