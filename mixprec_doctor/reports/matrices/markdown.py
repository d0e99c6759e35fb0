"""A matrix as Markdown: a table for each engine, a line for each range of releases in which a role is the same."""

from __future__ import annotations

__all__ = ["render"]

from collections.abc import Iterator

from mixprec_doctor.records.matrix import Cell, EngineMatrix, Matrix, Row
from mixprec_doctor.reports.matrices.words import change_words, lost_words, mark_of, range_words, verdict
from mixprec_doctor.reports.page import Page
from mixprec_doctor.version import __version__

_MOST_CHANGES = 6  # in one field of the table


def render(matrix: Matrix, page: Page) -> str:
    """The matrix as Markdown."""
    lines = [f"### mixprec matrix {__version__}", "", f"**{_plain(verdict(matrix))}**"]
    lost = matrix.lost()
    if lost:
        lines += ["", *(f"- {_plain(lost_words(each))}" for each in lost)]
    for engine in matrix.engines:
        lines += ["", *_engine(engine)]
    return "\n".join(lines) + "\n"


def _engine(engine: EngineMatrix) -> Iterator[str]:
    yield f"#### {_plain(engine.distribution)}"
    yield ""
    for release in engine.releases:
        yield from (f"- {_plain(release.version)}: {_plain(fault)}" for fault in release.faults)
    if any(release.faults for release in engine.releases):
        yield ""
    yield "| role | releases | | import | changed |"
    yield "|---|---|---|---|---|"
    for row in engine.rows:
        yield from _row(row)


def _row(row: Row) -> Iterator[str]:
    role = _code(row.role.value)
    for run in row.runs():
        yield f"| {role} | {_plain(range_words(run))} | {_status(run[0])} | {_import(run[0])} | {_changes(run[0])} |"
        role = ""


def _status(cell: Cell) -> str:
    return mark_of(cell.resolution)


def _import(cell: Cell) -> str:
    if cell.resolution is None:
        return "could not be read"
    line = cell.resolution.import_line
    words = _code(line) if line else cell.resolution.status.value
    condition = cell.resolution.condition
    return f"{words} if {_code(condition)}" if condition else words


def _changes(cell: Cell) -> str:
    words = [_code(change_words(each)) for each in cell.changes]
    more = len(words) - _MOST_CHANGES
    return "<br>".join([*words[:_MOST_CHANGES], f"and {more} more"] if more > 0 else words)


def _code(text: str) -> str:
    """A code span within a table: no line ends, no bar that would end the field, no backtick that would end it."""
    return f"`{' '.join(text.split()).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def _plain(text: str) -> str:
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    for mark in ("\\", "|", "*", "_", "`", "[", "]"):
        text = text.replace(mark, f"\\{mark}")
    return text
