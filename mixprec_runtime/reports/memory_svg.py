"""A memory report as one SVG: totals beside each checkpoint, then layers across and bytes up, coloured by format."""

from __future__ import annotations

__all__ = ["memory_svg"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mixprec_runtime.records.memory import UNFILLED, MemoryReport
from mixprec_runtime.reports.memory_columns import columns_of, series_of
from mixprec_runtime.reports.memory_panel import Panel, draw_panel
from mixprec_runtime.reports.memory_style import CSS, colour_classes
from mixprec_runtime.reports.sizes import human_bytes, ratio
from mixprec_runtime.reports.svg import element, text

WIDTH, MARGIN = 1120, 24
LABELS = 210  # width of the names before the bars
FIGURES = 170  # ... and of the figures behind them
BAR, PITCH = 16, 23
NAME = 30  # characters of a name that fit before a bar


@dataclass(frozen=True, kw_only=True)
class _Bar:
    label: str
    note: str
    parts: tuple[tuple[str, int], ...]  # format, bytes


def memory_svg(report: MemoryReport) -> str:
    """The picture alone, with all it needs inside: a title, a description, styles for light and dark."""
    formats = [each.format for each in report.formats if each.planned or each.loaded]
    formats += [name for each in report.uniform for name in each.by_format]
    classes = colour_classes(formats)
    parts = [element("text", text(_title(report)), x=MARGIN, y=38, klass="head")]
    parts.append(element("text", text(_summary(report)), x=MARGIN, y=58, klass="soft"))
    top = 84.0
    drawn, height = _bars(report, classes, top)
    parts.append(drawn)
    top += height
    drawn, height = _legend(report, classes, top)
    parts.append(drawn)
    top += height
    series = series_of(report)
    panels = [columns_of(report, rank=None if report.world == 1 else ranks[0]) for ranks in series]
    beside = tuple(column for columns in panels for column in columns)
    for ranks, columns in zip(series, panels, strict=True):
        panel = Panel(
            title=_panel_title(report, ranks),
            columns=columns,
            beside=beside,
            measured=report.measured,
            classes=classes,
            left=MARGIN,
            top=top,
            width=WIDTH - 2 * MARGIN,
            height=300 if len(series) == 1 else 170,
        )
        drawn, height = draw_panel(panel)
        parts.append(drawn)
        top += height
    return _document(report, parts, height=top + 8)


def _document(report: MemoryReport, parts: list[str], *, height: float) -> str:
    ground = element("rect", width=WIDTH, height=height, klass="ground")
    heads = (
        element("title", text(_title(report)), id="mp-title"),
        element("desc", text(f"{_summary(report)}. {_described(report)}"), id="mp-desc"),
        f"<style>{CSS}</style>",
    )
    return element(
        "svg", *heads, ground, *parts,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height:.0f}", width=WIDTH, height=round(height),
        klass="mp", role="img", aria_labelledby="mp-title mp-desc",
    )  # fmt: skip


def _title(report: MemoryReport) -> str:
    return f"Memory of {Path(report.mix).name}, layer by layer"


def _summary(report: MemoryReport) -> str:
    share = ratio(report.file_bytes, report.bf16_bytes)
    words = f"{human_bytes(report.file_bytes)} in the checkpoints, {share} of BF16"
    if not report.measured:
        return f"{words}; planned from their headers, nothing has been loaded"
    loaded = human_bytes(sum(rank.loaded or 0 for rank in report.ranks))
    held = human_bytes(sum(rank.held or 0 for rank in report.ranks))
    many = f" on {report.world} ranks" if report.world > 1 else ""
    return f"{words}; loaded {loaded}{many}, {held} after the engine's repacking"


def _described(report: MemoryReport) -> str:
    sizes = [f"{each.format} {human_bytes(each.planned)}" for each in report.formats if each.planned]
    beside = [f"{each.source} alone {human_bytes(each.bytes)}" for each in report.uniform]
    return "; ".join(filter(None, [", ".join(sizes), ", ".join(beside), f"BF16 {human_bytes(report.bf16_bytes)}"]))


def _panel_title(report: MemoryReport, ranks: tuple[int, ...]) -> str:
    if report.world == 1:
        return "Bytes of each layer"
    named = f"rank {ranks[0]}" if len(ranks) == 1 else f"each of the ranks {_spans(ranks)}"
    return f"Bytes of each layer on {named}"


def _spans(ranks: tuple[int, ...]) -> str:
    if len(ranks) > 2 and ranks[-1] - ranks[0] == len(ranks) - 1:
        return f"{ranks[0]} to {ranks[-1]}"
    return ", ".join(str(rank) for rank in ranks)


def _rows(report: MemoryReport) -> list[_Bar]:
    planned = {each.format: each.file_bytes for each in report.formats}
    order = [each.format for each in report.formats]
    rows = [_Bar(label="this mixture", note="planned" if report.measured else "", parts=_sorted(planned, order))]
    if report.measured:
        loaded = {each.format: each.loaded or 0 for each in report.formats}
        held = {each.format: each.held or 0 for each in report.formats}
        many = f" on {report.world} ranks" if report.world > 1 else ""
        rows.append(_Bar(label="", note=f"loaded{many}", parts=_sorted(loaded, order)))
        rows.append(_Bar(label="", note="after repacking", parts=_sorted(held, order)))
    for each in report.uniform:
        kept = f"{each.kept} layers kept" if each.kept else ""
        rows.append(_Bar(label=f"{each.source} alone", note=kept, parts=_sorted(each.by_format, order)))
    if not any(each.by_format == {"bf16": report.bf16_bytes} for each in report.uniform):
        rows.append(_Bar(label="all in BF16", note="", parts=(("bf16", report.bf16_bytes),)))
    return rows


def _sorted(sizes: Mapping[str, int], order: list[str]) -> tuple[tuple[str, int], ...]:
    names = sorted(sizes, key=lambda name: order.index(name) if name in order else len(order))
    return tuple((name, sizes[name]) for name in names if sizes[name])


def _bars(report: MemoryReport, classes: dict[str, str], top: float) -> tuple[str, float]:
    rows = _rows(report)
    largest = max((sum(size for _, size in row.parts) for row in rows), default=1) or 1
    scale = (WIDTH - 2 * MARGIN - LABELS - FIGURES) / largest
    drawn = [element("text", text("Whole model"), x=MARGIN, y=top + 4, klass="sub")]
    for at, row in enumerate(rows):
        y, x = top + 16 + at * PITCH, float(MARGIN + LABELS)
        middle = y + BAR - 4
        label = row.label if len(row.label) <= NAME else row.label[: NAME - 1] + "…"
        drawn.append(element("text", text(label), element("title", text(row.label)), x=MARGIN, y=middle))
        if row.note:
            drawn.append(element("text", text(row.note), x=x - 8, y=middle, klass="soft end"))
        for name, size in row.parts:
            tip = element("title", text(f"{name}: {human_bytes(size)}"))
            bar = element("rect", x=x, y=y, width=max(size * scale, 0.5), height=BAR, klass=classes.get(name, "plain"))
            drawn.append(element("g", tip, bar, klass="seg"))
            x += size * scale
        whole = sum(size for _, size in row.parts)
        figures = f"{human_bytes(whole)} · {ratio(whole, report.bf16_bytes)}"
        drawn.append(element("text", text(figures), x=x + 8, y=middle, klass="" if at == 0 else "soft"))
    return element("g", *drawn), 16 + len(rows) * PITCH + 18


def _legend(report: MemoryReport, classes: dict[str, str], top: float) -> tuple[str, float]:
    """Formats with their bytes, then what the lines mean; as many rows as it takes."""
    sizes = {each.format: each.planned or each.loaded or 0 for each in report.formats}
    entries = [
        (element("rect", width=12, height=12, y=-10, klass=name_class), _named(name, sizes.get(name)))
        for name, name_class in classes.items()
    ]
    if report.measured:
        entries.append((element("rect", width=11, height=11, x=0.5, y=-9.5, klass="planned"), "planned (fill: loaded)"))
        entries.append((element("line", x2=13, y1=-4, y2=-4, klass="held"), "after repacking"))
    if report.world == 1:
        entries.append((element("line", x2=13, y1=-4, y2=-4, klass="bf16"), "the layer in BF16"))
    drawn, x, y = [], float(MARGIN), top + 10
    for mark, label in entries:
        width = 30 + 6.6 * len(label)
        if x + width > WIDTH - MARGIN and x > MARGIN:
            x, y = float(MARGIN), y + 20
        drawn.append(element("g", mark, element("text", text(label), x=18), transform=f"translate({x:.0f} {y:.0f})"))
        x += width
    return element("g", *drawn), y - top + 30


def _named(name: str, size: int | None) -> str:
    known = "tables and buffers" if name == UNFILLED else name
    return f"{known}  {human_bytes(size)}" if size else known
