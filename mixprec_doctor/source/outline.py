"""Outlines: source without the bodies of its functions, which parses several times as quickly.

Where names live and how they are called stands outside of function bodies, and most of a module's text inside
them. The outline keeps every other character where it was, so lines and columns are those of the source. It is
only a shortcut: when it does not parse, the whole source is parsed instead.
"""

from __future__ import annotations

__all__ = ["Outline", "outline_of"]

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

_TEXT = re.compile(
    rb'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""'
    rb"|'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''"
    rb'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
    rb"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'"
    rb"|#[^\n]*",
    re.DOTALL,
)
_DEF = re.compile(rb"^([ \t]*)(?:async[ \t]+)?def[ \t]+\w+", re.MULTILINE)
_MARK = re.compile(rb"[()\[\]{}:]")
_INSIDE = bytes(each if each == 10 else 1 for each in range(256))  # a line that begins with 1 begins inside a string


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The source with ``...`` for each outermost function body; ``ends`` maps its ``def`` line to its last line."""

    source: bytes
    ends: Mapping[int, int]


def outline_of(source: bytes) -> Outline | None:
    """The outline of a source in UTF-8; None when nothing can be left out."""
    if b"\r" in source or b"def " not in source:
        return None
    masked = _TEXT.sub(_mask, source)
    pieces: list[bytes] = []
    ends: dict[int, int] = {}
    kept = at = counted = 0
    line = 1
    while (found := _DEF.search(masked, at)) is not None:
        colon = _header_end(masked, found.end())
        if colon is None:
            return None
        newline = masked.find(b"\n", colon)
        if newline < 0 or masked[colon + 1 : newline].strip():
            at = colon + 1  # the body stands on the line of the header
            continue
        dedent = _dedent(len(found[1])).search(masked, newline)
        end = dedent.start() if dedent else len(source)
        line += source.count(b"\n", counted, found.end())
        body = source.count(b"\n", newline, end)
        header = source.count(b"\n", found.end(), newline)
        ends[line] = line + header + body
        pieces += (source[kept : colon + 1], b" ...", b"\n" * body)
        line += header + body
        kept = at = counted = end
    if not ends:
        return None
    pieces.append(source[kept:])
    return Outline(source=b"".join(pieces), ends=ends)


def _mask(found: re.Match[bytes]) -> bytes:
    """Text that cannot be mistaken for code: of the same length, its lines kept."""
    text = found[0]
    if text[:1] == b"#":
        return b" " * len(text)
    if b"\n" not in text:
        return b"_" * len(text)
    first, rest = text.split(b"\n", 1)
    return b"_" * len(first) + b"\n" + rest.translate(_INSIDE)


def _header_end(masked: bytes, start: int) -> int | None:
    """Where the colon stands that ends a function's header."""
    depth = 0
    for mark in _MARK.finditer(masked, start):
        byte = mark[0]
        if byte in b"([{":
            depth += 1
        elif byte in b")]}":
            depth -= 1
        elif depth == 0:
            return mark.start()
    return None


@cache
def _dedent(indent: int) -> re.Pattern[bytes]:
    """The end of the last line before one that is indented no deeper; comments and strings do not count."""
    return re.compile(rb"\n(?=[ \t]{0,%d}[^\s\x01])" % indent)
