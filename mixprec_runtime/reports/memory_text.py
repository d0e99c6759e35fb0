"""A memory report as text: beside each checkpoint alone, by format, by rank, and layer by layer if wanted."""

from __future__ import annotations

__all__ = ["comparison", "memory_text"]

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mixprec_runtime.records.memory import UNFILLED, MemoryReport
from mixprec_runtime.reports.sizes import human_bytes, ratio


def memory_text(report: MemoryReport, *, every_layer: bool = False) -> RenderableType:
    """The whole report."""
    parts: list[RenderableType] = [Text(f"memory of {Path(report.mix).name}", style="bold"), Text()]
    parts += [comparison(report), Text(), _formats(report)]
    if report.world > 1 or report.measured:
        parts += [Text(), _ranks(report)]
    if every_layer:
        parts += [Text(), _units(report), Text(), _alone(report)]
    if not report.measured:
        parts += [Text(), Text("planned from headers; nothing has been loaded", style="dim")]
    return Group(*parts)


def comparison(report: MemoryReport) -> Table:
    """The mixture beside the same model from each source alone: bytes in the checkpoints, and their share of BF16."""
    table = _table("whole model", "bytes", "of BF16", *(("largest rank",) if report.world > 1 else ()), "linear layers")
    whole = report.bf16_bytes
    planned = [rank.planned for rank in report.ranks]

    def add(name: str, size: int, ranks: tuple[int, ...] | None, said: str, style: str = "") -> None:
        cells = [name, human_bytes(size), ratio(size, whole)]
        if report.world > 1:
            cells.append(human_bytes(max(ranks)) if ranks else "-")
        table.add_row(*cells, said, style=style)

    add("this mixture", report.file_bytes, tuple(planned), ", ".join(report.linear), "bold")
    for each in report.uniform:
        said = ", ".join(each.formats) + (f"; {each.kept} it lacks are the base's" if each.kept else "")
        add(f"{each.source} alone", each.bytes, each.bytes_per_rank, said)
    add("the same in BF16", whole, None, "bf16")
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        left = name in ("whole model", "format", "layer", "source", "linear layers", "kernel")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    return table


def _formats(report: MemoryReport) -> Table:
    table = _table("format", "planned", *_measured("loaded", "repacked", report=report), "in BF16", "of BF16")
    for each in report.formats:
        cells = [each.format if each.format != UNFILLED else "tables and buffers"]
        cells.append(human_bytes(each.planned) if each.planned else "-")
        cells += _measured(_size(each.loaded), _size(each.held), report=report)
        cells.append(human_bytes(each.bf16_bytes) if each.bf16_bytes else "-")
        cells.append(ratio(each.loaded if each.loaded is not None else each.planned, each.bf16_bytes))
        table.add_row(*cells)
    return table


def _ranks(report: MemoryReport) -> Table:
    table = _table("rank", "planned", *_measured("loaded", "repacked", "process grew", report=report))
    for rank in report.ranks:
        cells = _measured(_size(rank.loaded), _size(rank.held), _size(rank.grown), report=report)
        table.add_row(str(rank.rank), human_bytes(rank.planned), *cells)
    return table


def _units(report: MemoryReport) -> Table:
    many = report.world > 1
    table = _table("layer", "source", "format", "planned", *_measured("loaded", "repacked", report=report))
    for unit in report.units:
        measured = _measured(_all(unit.loaded, many=many), _all(unit.held, many=many), report=report)
        table.add_row(unit.unit, unit.source or "-", unit.format, _all(unit.planned, many=many), *measured)
    return table


def _alone(report: MemoryReport) -> Table:
    """Bytes of each layer in the checkpoints, were it taken from each of them."""
    sources = [each.source for each in report.uniform]
    table = _table("layer", "here", "in BF16", *(f"from {source}" for source in sources))
    for unit in report.units:
        if unit.source is not None:
            sizes = [human_bytes(unit.uniform[source]) for source in sources]
            table.add_row(unit.unit, human_bytes(unit.file_bytes), human_bytes(unit.bf16_bytes), *sizes)
    return table


def _measured(*cells: str, report: MemoryReport) -> tuple[str, ...]:
    """Cells that only a measured report has."""
    return cells if report.measured else ()


def _size(size: int | None) -> str:
    return human_bytes(size) if size is not None else "-"


def _all(sizes: tuple[int, ...] | None, *, many: bool) -> str:
    """One size, or that of each rank where there are several and they differ."""
    if sizes is None:
        return "-"
    if not many:
        return human_bytes(sizes[0])
    if len(set(sizes)) == 1:
        return f"{len(sizes)} x {human_bytes(sizes[0])}"
    return " + ".join(human_bytes(size) for size in sizes)
