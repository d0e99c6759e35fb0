"""Limits: how long and how large a child may get before it is ended."""

from __future__ import annotations

__all__ = ["Limits", "usual_limits"]

import re
from dataclasses import dataclass
from pathlib import Path

_OF_MACHINE = 0.7
_OF_FREE = 0.9
_TOTAL_OVER_EACH = 5


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds for one request and for all of an engine, seconds for an orderly end, and bytes of memory."""

    each: float = 120.0
    total: float = 600.0
    ending: float = 10.0
    memory: int | None = None  # of the child and its children together; None: not watched


def usual_limits(each: float = 120.0) -> Limits:
    """So many seconds for each request, five times that for all; most of the memory that is there."""
    return Limits(each=each, total=each * _TOTAL_OVER_EACH, memory=usual_memory())


def usual_memory(*, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The part of the machine's memory, or of what its control group leaves, that a child may take."""
    said = _read(proc / "meminfo")
    bounds = [
        int(size[1]) * 1024 * share
        for name, share in (("MemTotal", _OF_MACHINE), ("MemAvailable", _OF_FREE))
        if (size := re.search(rf"(?m)^{name}:\s*(\d+) kB", said))
    ]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        if (text := _read(groups / name).strip()).isdigit():
            bounds.append(int(text) * _OF_FREE)
    return int(min(bounds)) if bounds else None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
