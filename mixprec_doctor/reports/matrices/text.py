"""A matrix for the terminal: each role with the releases in which it is the same, and what changed between them."""

from __future__ import annotations

__all__ = ["render"]

from collections.abc import Iterator

from mixprec_doctor.records.matrix import Cell, EngineMatrix, Matrix, Row
from mixprec_doctor.records.resolution import Parameter, Status
from mixprec_doctor.records.signature import signature
from mixprec_doctor.reports.matrices.words import (
    change_words,
    lost_words,
    mark_of,
    range_words,
    verdict,
)
from mixprec_doctor.reports.page import Page

_STYLES = {"✓": "green", "!": "yellow", "✗": "red", "?": "dim"}
_MOST_LINES = 8  # of one signature or of one list of changes; the other forms have all


def render(matrix: Matrix, page: Page) -> str:
    """The matrix as text."""
    lines = [line for engine in matrix.engines for line in _engine(engine, page)]
    for lost in matrix.lost():
        lines += [f"{page.paint('✗', 'red')} {line.strip()}" for line in page.wrap(lost_words(lost), indent=2)]
    mark = page.paint("✗", "red") if matrix.exit_code else page.paint("✓", "green")
    return "\n".join([*lines, f"{mark} {verdict(matrix)} ({matrix.seconds:.1f} s)"]) + "\n"


def _engine(engine: EngineMatrix, page: Page) -> Iterator[str]:
    versions = [release.version for release in engine.releases]
    span = versions[0] if len(versions) == 1 else f"{versions[0]} … {versions[-1]}, {len(versions)} releases"
    yield page.paint(f"{engine.distribution} {span}", "bold")
    for release in engine.releases:
        for fault in release.faults:
            mark = page.paint("?", "yellow")
            first, *rest = page.wrap(f"{release.version}: {fault}", indent=4)
            yield from (f"  {mark} {first.strip()}", *rest)
    for row in engine.rows:
        yield ""
        yield from _row(row, page)
    yield ""


def _row(row: Row, page: Page) -> Iterator[str]:
    runs = list(row.runs())
    yield page.paint(row.role.value, "bold")
    width = max(len(range_words(run)) for run in runs)
    found = [run for run in runs if run[0].resolution and run[0].resolution.status is Status.FOUND]
    for run in runs:
        yield from _run(run, width, page)
        # In between, what changed says it all.
        last = found[-1] if found and _parameters(found[-1][0]) != _parameters(found[0][0]) else None
        if run is last or run in found[:1]:
            yield from _signature(run[0], page)


def _run(run: tuple[Cell, ...], width: int, page: Page) -> Iterator[str]:
    found = run[0].resolution
    mark = mark_of(found)
    head = f"  {page.paint(mark, _STYLES[mark])} {range_words(run):<{width}}"
    said = found.import_line if found else "could not be read"
    if said is None:
        said = found.status.value if found else ""
    if width + len(said) + 6 <= page.width:
        yield f"{head}  {said}"
    else:
        yield head.rstrip()
        yield from page.wrap(said, indent=10, first=8)
    if found and found.condition:
        yield from page.wrap(f"only if: {found.condition}", indent=10, first=8)
    lines = [line for each in run[0].changes for line in page.wrap(change_words(each), indent=10, first=8)]
    yield from (page.paint(line, "cyan") for line in _shortened(lines, "more"))


def _signature(cell: Cell, page: Page) -> Iterator[str]:
    found = cell.resolution
    if found and found.name and (found.parameters or found.binding):
        lines = page.wrap(signature(found.name, found.parameters), indent=10, first=8)
        yield from _shortened(lines, f"{len(found.parameters)} parameters in all")


def _parameters(cell: Cell) -> tuple[Parameter, ...]:
    return cell.resolution.parameters if cell.resolution else ()


def _shortened(lines: list[str], rest: str) -> list[str]:
    if len(lines) <= _MOST_LINES:
        return lines
    return [*lines[: _MOST_LINES - 1], f"{' ' * 10}… {rest} (--format json or html shows them)"]
