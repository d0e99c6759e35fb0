"""A memory report as one HTML page: the picture, and its figures as a table to read or copy."""

from __future__ import annotations

__all__ = ["memory_html"]

from pathlib import Path

from mixprec_runtime.records.memory import MemoryReport, UnitMemory
from mixprec_runtime.reports.html_page import folded_table, html_page
from mixprec_runtime.reports.memory_svg import memory_svg
from mixprec_runtime.reports.sizes import human_bytes
from mixprec_runtime.reports.svg import element, text


def memory_html(report: MemoryReport) -> str:
    """One file that loads nothing from anywhere."""
    title = f"Memory of {Path(report.mix).name}"
    return html_page(title, memory_svg(report), _table(report))


def _table(report: MemoryReport) -> str:
    many = report.world > 1
    ranks = [f" on rank {rank}" for rank in range(report.world)] if many else [""]
    names = [f"planned{rank}" for rank in ranks]
    if report.measured:
        names += [f"{what}{rank}" for what in ("loaded", "after repacking") for rank in ranks]
    names += ["in BF16", *(f"{each.source} alone" for each in report.uniform)]
    heads = ["layer", "source", "format", *names]
    return folded_table("All figures", heads, (_row(unit, report) for unit in report.units), names=3)


def _row(unit: UnitMemory, report: MemoryReport) -> str:
    named = (unit.unit, unit.source or "", unit.format)
    cells = "".join(element("td", text(name), klass="name") for name in named)
    sizes: list[int | None] = list(unit.planned)
    if report.measured:
        none = (None,) * report.world
        sizes += [*(unit.loaded or none), *(unit.held or none)]
    sizes.append(unit.bf16_bytes)
    sizes += [unit.uniform.get(each.source) for each in report.uniform]
    return element("tr", cells, *(_cell(size) for size in sizes))


def _cell(size: int | None) -> str:
    """The size as people read it, and to the byte when pointed at."""
    return element("td", text(human_bytes(size)), title=f"{size:,} bytes") if size else element("td", "–")
