"""The lower part of a fit's picture: the front with what was chosen on it, and the figures of whole models."""

from __future__ import annotations

__all__ = ["draw_curve", "draw_figures"]

from dataclasses import dataclass

from mixprec_runtime.records.fit import ChosenMixture, MeasuredMixture
from mixprec_runtime.records.fit_report import FitReport
from mixprec_runtime.reports.fit_look import colours, loss_figure, loss_unit
from mixprec_runtime.reports.scales import Scale, log_or_linear, spread
from mixprec_runtime.reports.sizes import human_bytes
from mixprec_runtime.reports.svg import element, text

AXIS = 64.0
HEIGHT = 230.0
SHORT = 18  # characters of a name beside a mark
LINE = 14.0  # height of a name
ROOM = 8.0  # width of a character


@dataclass(frozen=True, kw_only=True)
class _Model:
    """A whole model: this mixture, or one source alone."""

    name: str
    klass: str | None  # None: this mixture
    mixture: ChosenMixture
    measured: MeasuredMixture | None


def _models(report: FitReport) -> list[_Model]:
    measured = {each.name: each for each in report.measured}
    classes = colours(report)
    mine = _Model(name="this mixture", klass=None, mixture=report.chosen, measured=measured.get("mixture"))
    return [mine] + [
        _Model(
            name=f"all {source}", klass=classes[source], mixture=report.alone(source),
            measured=measured.get(f"all {source}"),
        )
        for source in report.sources
    ]  # fmt: skip


def draw_curve(report: FitReport, *, left: float, top: float, width: float) -> tuple[str, float]:
    """Bytes across and loss up: the front, the chosen point, and each source alone; and how high it is."""
    models, comparable = _models(report), report.losses.method == "kl"
    sizes = [each.bytes for each in report.front] + [each.mixture.bytes for each in models]
    nats = [each.loss for each in report.front] + [each.mixture.loss for each in models]
    if comparable:
        nats += [each.measured.divergence for each in models if each.measured is not None]
    floor, ceiling = top + 34 + HEIGHT, top + 38
    across = spread(sizes, start=left + AXIS, end=left + width - 16, wanted=6)
    up = log_or_linear(nats, start=floor, end=ceiling)
    drawn = [element("text", text("The best mixture for each number of bytes"), x=left, y=top + 4, klass="sub")]
    drawn.append(element("text", text(loss_unit(report.losses)), x=left + AXIS, y=top + 22, klass="soft"))
    drawn += _axes(across, up, floor=floor, ceiling=ceiling)
    if report.limit is not None and report.limit.bytes is not None:
        x = across.at(report.limit.bytes)
        tip = element("title", text(f"the budget, {human_bytes(report.limit.bytes)}"))
        drawn.append(element("line", tip, x1=x, x2=x, y1=ceiling, y2=floor, klass="limit"))
    points = sorted({each.bytes: each for each in (*report.front, report.chosen)}.values(), key=lambda each: each.bytes)
    if len(report.front) > 1:
        path = " ".join(f"{across.at(each.bytes):.1f},{up.at(each.loss):.1f}" for each in points)
        drawn.append(element("polyline", points=path, klass="curve"))
        for each in points:
            tip = element("title", text(f"{human_bytes(each.bytes)}, loses {loss_figure(each.loss)}"))
            drawn.append(element("circle", tip, cx=across.at(each.bytes), cy=up.at(each.loss), r=2.2, klass="point"))
    drawn += _marks(models, across, up, comparable=comparable)
    return element("g", *drawn), floor + 48 - top


def _axes(across: Scale, up: Scale, *, floor: float, ceiling: float) -> list[str]:
    drawn = []
    for mark in up.marks:
        y = up.at(mark)
        klass = "base" if not up.log and mark == 0 else "grid"
        drawn.append(element("line", x1=across.start, x2=across.end, y1=y, y2=y, klass=klass))
        drawn.append(element("text", text(f"{mark:g}"), x=across.start - 8, y=y + 4, klass="soft end"))
    if up.log:
        drawn.append(element("line", x1=across.start, x2=across.end, y1=floor, y2=floor, klass="base"))
    if up.nothing is not None:
        drawn.append(element("text", text("0"), x=across.start - 8, y=floor + 4, klass="soft end"))
    for mark in across.marks:
        x = across.at(mark)
        drawn.append(element("line", x1=x, x2=x, y1=ceiling, y2=floor, klass="grid"))
        label = human_bytes(mark).replace(".0 ", " ")
        drawn.append(element("text", text(label), x=x, y=floor + 16, klass="soft mid"))
    return drawn


def _marks(models: list[_Model], across: Scale, up: Scale, *, comparable: bool) -> list[str]:
    """Squares for sources alone, a ring for the mixture; open ones where a loss was measured."""
    drawn, taken = [], []
    for model in reversed(models):
        x, y = across.at(model.mixture.bytes), up.at(model.mixture.loss)
        if model.measured is not None and comparable:
            high = up.at(model.measured.divergence)
            words = f"{model.name}, measured: {loss_figure(model.measured.divergence)}"
            drawn.append(element("line", x1=x, x2=x, y1=y, y2=high, klass="rise"))
            name = f"dot {model.klass} open" if model.klass is not None else "mine open"
            drawn.append(element("circle", element("title", text(words)), cx=x, cy=high, r=4, klass=name))
        words = f"{model.name}: {human_bytes(model.mixture.bytes)}, loses {loss_figure(model.mixture.loss)}"
        tip = element("title", text(words))
        if model.klass is not None:
            drawn.append(element("rect", tip, x=x - 5, y=y - 5, width=10, height=10, rx=1.5, klass=model.klass))
        else:
            drawn.append(element("circle", tip, cx=x, cy=y, r=6.5, klass="mark"))
        taken.append((x, y, model.name, model.klass))
    return drawn + _names(taken, across, up.start if up.nothing is None else up.nothing)


def _names(marks: list[tuple[float, float, str, str | None]], across: Scale, floor: float) -> list[str]:
    """A name beside each mark, on the side where there is room, one below the other where they would touch."""
    drawn: list[str] = []
    placed: list[tuple[float, float, float]] = []
    for x, y, name, klass in sorted(marks, key=lambda mark: mark[1]):
        short = name if len(name) <= SHORT else name[: SHORT - 1] + "…"
        width = ROOM * len(short)
        before = x + 13 + width > across.end
        start = x - 13 - width if before else x + 13
        line = min(y - 3, floor - 8)  # the front falls away below its points
        while any(abs(line - other) < LINE and start < end and first < start + width for first, end, other in placed):
            line += 2
        placed.append((start, start + width, line))
        words = " ".join(filter(None, ["halo", "strong" if klass is None else "", "end" if before else ""]))
        at = x - 13 if before else x + 13
        drawn.append(element("text", text(short), element("title", text(name)), x=at, y=line, klass=words))
    return drawn


def draw_figures(report: FitReport, *, left: float, top: float, width: float) -> tuple[str, float]:
    """A table of whole models: bytes, loss as foreseen and as measured, perplexity; and how high it is."""
    models = _models(report)
    measured = any(model.measured is not None for model in models)
    heads = ["bytes", "foreseen", *(("measured", "perplexity") if measured else ())]
    ends = [left + width - (len(heads) - 1 - at) * 76 for at in range(len(heads))]
    drawn = [element("text", text("Whole models"), x=left, y=top + 4, klass="sub")]
    drawn += [
        element("text", text(head), x=x, y=top + 26, klass="soft end") for head, x in zip(heads, ends, strict=True)
    ]
    fitting = max(8, int((ends[0] - 70 - left - 18) / 6.8))
    for at, model in enumerate(models):
        y = top + 48 + at * 22
        if model.klass is not None:
            drawn.append(element("rect", x=left, y=y - 10, width=12, height=12, rx=2, klass=model.klass))
        else:
            drawn.append(element("circle", cx=left + 6, cy=y - 4, r=5, klass="mark"))
        strong = "strong" if model.klass is None else None
        name = model.name if len(model.name) <= fitting else model.name[: fitting - 1] + "…"
        drawn.append(element("text", text(name), element("title", text(model.name)), x=left + 19, y=y, klass=strong))
        found = model.measured
        cells = [human_bytes(model.mixture.bytes), loss_figure(model.mixture.loss)]
        if measured:
            cells += [loss_figure(found.divergence), f"{found.perplexity:.4g}"] if found is not None else ["–", "–"]
        for cell, x in zip(cells, ends, strict=True):
            drawn.append(element("text", text(cell), x=x, y=y, klass="end strong" if strong else "end"))
    y = top + 48 + len(models) * 22 + 8
    for inward, words in _told(report):
        drawn.append(element("text", text(words), x=left + inward, y=y, klass="soft"))
        y += 17
    return element("g", *drawn), y - top


def _told(report: FitReport) -> list[tuple[int, str]]:
    """What the figures are, and on which text, each with its indentation."""
    losses = report.losses
    told = [(0, f"foreseen: {loss_unit(losses)}" + (", on the text of the choice" if losses.text else ""))]
    if losses.text:
        told.append((12, f"{_cut(losses.text)}, {losses.tokens:,} tokens"))
    if report.measured:
        circles = ", as open circles" if losses.method == "kl" else ""
        told.append((0, f"measured: nats a token from the base{circles}"))
        tokens = max(each.tokens for each in report.measured)
        told.append((12, f"{_cut(report.measured_text or 'a text')}, {tokens:,} tokens"))
    return told


def _cut(words: str, most: int = 52) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"
