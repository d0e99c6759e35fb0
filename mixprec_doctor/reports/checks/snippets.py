"""Snippets: a line of code with carets beneath exactly what is meant, in columns of a terminal."""

from __future__ import annotations

__all__ = ["snippet"]

import unicodedata

_TAB = 4
_LEAST = 20
_CUT = "…"
# Characters that would act on the terminal, or show the line in another order than it is read in.
_ACTING = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)))


def snippet(source: str, column: int, end: int | None, *, width: int) -> tuple[str, str]:
    """The line, and the line of carets below it; columns count characters from 1, ``end`` None is the line's end.

    Tabs become spaces, characters that a terminal would act on a mark. A line wider than ``width`` is cut around
    what is meant.
    """
    source = source.rstrip("\r\n")
    cells = _cells(source)
    first = min(max(column - 1, 0), len(cells))
    last = len(source.rstrip()) if end is None else min(max(end - 1, first), len(cells))
    start = sum(size for _, size in cells[:first])
    length = max(sum(size for _, size in cells[first:last]), 1)
    if start + length <= width and sum(size for _, size in cells) <= width:
        return "".join(text for text, _ in cells), " " * start + "^" * length
    return _cut(cells, first, last, max(width, _LEAST))


def _cut(cells: list[tuple[str, int]], first: int, last: int, width: int) -> tuple[str, str]:
    """A window around what is meant, beginning with it where it alone is too wide."""
    begin = first
    room = width - 2 - sum(size for _, size in cells[first:last])
    while begin > 0 and room - cells[begin - 1][1] >= width // 4:  # a little of what follows is worth more
        begin -= 1
        room -= cells[begin][1]
    left = _CUT if begin > 0 else ""
    room = width - len(left) - 1
    stop = begin
    while stop < len(cells) and room >= cells[stop][1]:
        room -= cells[stop][1]
        stop += 1
    right = _CUT if stop < len(cells) else ""
    text = left + "".join(each for each, _ in cells[begin:stop]) + right
    start = len(left) + sum(size for _, size in cells[begin:first])
    length = sum(size for _, size in cells[first : min(last, stop)])
    return text, " " * start + "^" * max(length, 1)


def _cells(source: str) -> list[tuple[str, int]]:
    """Each character as it is shown, and how many columns of a terminal it takes."""
    if source.isascii() and source.isprintable():
        return [(mark, 1) for mark in source]
    from rich.cells import cell_len

    cells: list[tuple[str, int]] = []
    at = 0
    for mark in source:
        if mark == "\t":
            shown, size = " " * (_TAB - at % _TAB), _TAB - at % _TAB
        elif unicodedata.category(mark) in _ACTING or mark in _BIDI:
            shown, size = "\N{REPLACEMENT CHARACTER}", 1
        else:
            shown, size = mark, cell_len(mark)
        cells.append((shown, size))
        at += size
    return cells
