"""A memory report as one HTML page: the picture, and its figures as a table to read or copy."""

from __future__ import annotations

__all__ = ["memory_html"]

from pathlib import Path

from mixprec_runtime.records.memory import MemoryReport, UnitMemory
from mixprec_runtime.reports.memory_svg import memory_svg
from mixprec_runtime.reports.sizes import human_bytes
from mixprec_runtime.reports.svg import element, text

_CSS = """
:root{color-scheme:light dark}
body{margin:0;background:#fff;color:#1f2328;font:13px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
main{max-width:1120px;margin:0 auto}
svg.mp{width:100%;height:auto;display:block}
details{margin:0 24px 32px}
summary{cursor:pointer;font-weight:600;padding:8px 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;white-space:nowrap}
th,td{padding:3px 10px;text-align:right;border-bottom:1px solid #d8dee4}
th{position:sticky;top:0;background:#fff}
th.name,td.name{text-align:left}
@media (prefers-color-scheme:dark){body,th{background:#0d1117;color:#e6edf3}th,td{border-color:#2a313a}}
"""


def memory_html(report: MemoryReport) -> str:
    """One file that loads nothing from anywhere."""
    title = f"Memory of {Path(report.mix).name}"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        + element("title", text(title))
        + f"<style>{_CSS}</style>"
    )
    body = element("main", memory_svg(report), _table(report))
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _table(report: MemoryReport) -> str:
    many = report.world > 1
    ranks = [f" on rank {rank}" for rank in range(report.world)] if many else [""]
    names = [f"planned{rank}" for rank in ranks]
    if report.measured:
        names += [f"{what}{rank}" for what in ("loaded", "after repacking") for rank in ranks]
    names += ["in BF16", *(f"{each.source} alone" for each in report.uniform)]
    head = "".join(element("th", text(name), klass="name", scope="col") for name in ("layer", "source", "format"))
    head += "".join(element("th", text(name), scope="col") for name in names)
    rows = "".join(_row(unit, report) for unit in report.units)
    table = element("table", element("thead", element("tr", head)), element("tbody", rows))
    return element("details", element("summary", "All figures"), element("div", table, klass="wide"))


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
