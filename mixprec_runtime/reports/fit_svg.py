"""A fit as one SVG: losses and sources layer by layer, and the front with what was chosen on it."""

from __future__ import annotations

__all__ = ["fit_svg"]

from pathlib import Path

from mixprec_runtime.records.fit_report import FitReport
from mixprec_runtime.reports.fit_curve import draw_curve, draw_figures
from mixprec_runtime.reports.fit_layers import draw_layers
from mixprec_runtime.reports.fit_look import colours, formats_of, letters, loss_figure, loss_unit
from mixprec_runtime.reports.fit_style import CSS, sign_class
from mixprec_runtime.reports.sizes import human_bytes, ratio
from mixprec_runtime.reports.svg import element, text

WIDTH, MARGIN = 1120, 24
CURVE = 590.0  # width of the front
NAME = 44  # characters of a source's name in the legend


def fit_svg(report: FitReport) -> str:
    """The picture alone, with all it needs inside: a title, a description, styles for light and dark."""
    parts = [element("text", text(_title(report)), x=MARGIN, y=38, klass="head")]
    parts.append(element("text", text(_summary(report)), x=MARGIN, y=58, klass="soft"))
    drawn, height = _legend(report, 84.0)
    parts.append(drawn)
    top = 84.0 + height
    drawn, height = draw_layers(report, left=MARGIN, top=top, width=WIDTH - 2 * MARGIN)
    parts.append(drawn)
    top += height + 16
    drawn, curve = draw_curve(report, left=MARGIN, top=top, width=CURVE)
    parts.append(drawn)
    left = MARGIN + CURVE + 36
    drawn, figures = draw_figures(report, left=left, top=top, width=WIDTH - MARGIN - left)
    parts.append(drawn)
    return _document(report, parts, height=top + max(curve, figures) + 8)


def _document(report: FitReport, parts: list[str], *, height: float) -> str:
    heads = (
        element("title", text(_title(report)), id="mp-fit-title"),
        element("desc", text(f"{_summary(report)}. {_described(report)}"), id="mp-fit-desc"),
        f"<style>{CSS}</style>",
        element("rect", width=WIDTH, height=height, klass="ground"),
    )
    return element(
        "svg", *heads, *parts,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height:.0f}", width=WIDTH, height=round(height),
        klass="mp", role="img", aria_labelledby="mp-fit-title mp-fit-desc",
    )  # fmt: skip


def _title(report: FitReport) -> str:
    return f"Fit of {Path(report.mix).name} to {report.asked}"


def _summary(report: FitReport) -> str:
    loss = f"{loss_figure(report.chosen.loss)} {loss_unit(report.losses)}"
    return f"{report.goal}; found {human_bytes(report.chosen.bytes)}, foreseen loss {loss}"


def _taken(report: FitReport) -> dict[str, tuple[int, int]]:
    """Units and bytes that come from each source."""
    found = dict.fromkeys(report.sources, (0, 0))
    for unit in report.problem.units:
        source = report.chosen.sources[unit.name]
        count, size = found[source]
        found[source] = (count + 1, size + unit.option(source).bytes)
    return found


def _described(report: FitReport) -> str:
    taken = [f"{count} units of {human_bytes(size)} from {source}" for source, (count, size) in _taken(report).items()]
    alone = [f"all {source} {human_bytes(report.alone(source).bytes)}" for source in report.sources]
    return f"{', '.join(taken)}; {', '.join(alone)}"


def _legend(report: FitReport, top: float) -> tuple[str, float]:
    """Sources with their letters, formats and bytes; as many rows as it takes."""
    classes, signs, formats = colours(report), letters(report.sources), formats_of(report.problem)
    entries: list[tuple[str, str, str]] = []
    for source, (count, size) in _taken(report).items():
        klass = classes[source]
        chip = element("rect", width=15, height=15, y=-12, rx=2, klass=klass)
        sign = element("text", text(signs[source]), x=7.5, y=-0.5, klass=f"sign {sign_class(klass)}")
        name = source if len(source) <= NAME else source[: NAME - 1] + "…"
        of = f" {formats[source][0]}" if formats[source][0] != source else ""
        said = (
            f"{name}{of}, {human_bytes(size)}, {ratio(size, report.chosen.bytes)}" if count else f"{name}{of}, unused"
        )
        entries.append((chip + sign, said, source))
    entries.append((element("line", x2=15, y1=-4, y2=-4, klass="held"), "this mixture", ""))
    if report.losses.scaled:
        ring = element("circle", cx=7, cy=-4, r=4, klass="dot plain open")
        entries.append((ring, "estimated from another source", ""))
    drawn, x, y = [], float(MARGIN), top + 6
    for mark, label, tip in entries:
        width = 40 + 6.7 * len(label)
        if x + width > WIDTH - MARGIN and x > MARGIN:
            x, y = float(MARGIN), y + 22
        words = element("text", text(label), *((element("title", text(tip)),) if tip else ()), x=21)
        drawn.append(element("g", mark, words, transform=f"translate({x:.0f} {y:.0f})"))
        x += width
    return element("g", *drawn), y - top + 34
