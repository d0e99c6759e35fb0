"""Stacks: where Python was when it crashed or hung, out of what its faulthandler wrote."""

from __future__ import annotations

__all__ = ["read_stack"]

import re

from mixprec_doctor.records.probe import Frame

_MOST_FRAMES = 12
_HEAD = re.compile(r"^(?:Current thread|Thread|Stack) .*\(most recent call first\):")
_ENTRY = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$')


def read_stack(text: str, *, own: str) -> tuple[Frame, ...]:
    """The current thread's stack, innermost last, else the last written; frames of the file ``own`` left out."""
    stacks: list[tuple[bool, list[Frame]]] = []
    for line in text.splitlines():
        if _HEAD.match(line):
            stacks.append((line.startswith(("Current", "Stack")), []))
        elif stacks and (entry := _ENTRY.match(line)) and not entry["file"].startswith("<frozen importlib"):
            frame = Frame(file=entry["file"], line=int(entry["line"]), function=entry["function"])
            stacks[-1][1].append(frame)
    current = [frames for is_current, frames in stacks if is_current] or [frames for _, frames in stacks]
    if not current:
        return ()
    inner_first = [
        frame for frame in current[-1] if frame.file != own and not frame.file.endswith("importlib/__init__.py")
    ]
    return tuple(reversed(inner_first[:_MOST_FRAMES]))
