"""Frames: the ways in which Python, notebooks and rich write one line of a traceback."""

from __future__ import annotations

__all__ = ["frame_at", "is_decoration", "with_source"]

import re
from dataclasses import replace

from mixprec_doctor.records.traceback import Frame

_FRAMES = tuple(
    re.compile(pattern)
    for pattern in (
        r'\s*File "(?P<file>[^"\n]{1,1000})", line (?P<line>\d{1,9})(?:, in (?P<function>.{1,200}))?$',
        # IPython
        r"File (?P<file>[^\s:\"][^:\n\"]{0,1000}):(?P<line>\d{1,9})(?:, in (?P<function>[^\s(]{1,200})(?:\(.*)?)?$",
        r"(?:Cell|Input) (?P<file>In ?\[\d{1,6}\]), (?:line (?P<line>\d{1,9})|in (?P<function>.{1,200}))$",
        r"(?P<file>/[^\s:]{1,1000}|<ipython-input-[^>]{1,200}>) in (?P<function><module>|[\w.<>]{1,200})(?:\(.*\))?$",
        r"(?P<file>/[^\s:]{1,1000}\.py):(?P<line>\d{1,9}) in (?P<function>[\w.<>]{1,200})$",  # rich
    )
)
_POINTED = re.compile(r"(?:-{1,8}> {0,8}|❱ {0,8})(?P<line>\d{1,9})(?: │)?(?: (?P<code>.*))?$")
_NUMBERED = re.compile(r"\s*\d{1,9}(?:\s|$)")
_MARKS = re.compile(r"[\s^~]*$")
_REPEATED = re.compile(r"\s*\[Previous line repeated \d+ more times?\]$")
_BOX = re.compile(r"\s*[╭╰─╮╯]{2,}")
_RULE = re.compile(r"-{20,}$")


def frame_at(text: str) -> Frame | None:
    """The frame that a line tells, if it tells one."""
    if not ("File " in text or " in " in text or ", line " in text or text.startswith("Cell")):
        return None
    stripped = text.strip()
    for pattern in _FRAMES:
        if found := pattern.match(stripped):
            groups = found.groupdict()
            line = groups.get("line")
            return Frame(file=groups["file"], line=int(line) if line else None, function=groups.get("function"))
    return None


def with_source(frame: Frame, text: str) -> Frame | None:
    """The frame with its source, where a line shows it: indented beneath, or pointed to by an arrow."""
    stripped = text.strip()
    if found := _POINTED.match(stripped):
        return replace(frame, line=int(found["line"]), code=(found["code"] or "").strip())
    if frame.code is None and stripped and text[0].isspace() and not is_decoration(text):
        return replace(frame, code=stripped)
    return None


def is_decoration(text: str) -> bool:
    """Whether a line between frames says nothing: blank, marks beneath source, other source, the edge of a box."""
    if not text.strip() or text[0].isspace():
        return True if not text.strip() else bool(_MARKS.match(text) or _REPEATED.match(text) or _NUMBERED.match(text))
    return bool(_NUMBERED.match(text) or _BOX.match(text) or _RULE.match(text))
