"""Memory that a measurement may take."""

from __future__ import annotations

__all__ = ["free_memory"]

import os
from pathlib import Path

from mixprec_doctor.machine.limits import read_memory_limit

UNKNOWN = 4 << 30  # bytes, where no system tells


def free_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that are free or would be without caches, and within what a container allows."""
    limit = read_memory_limit()
    found = _available(meminfo) or UNKNOWN
    return found if limit is None else min(found, limit)


def _available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError, AttributeError):
            return None
    words = next((line.split() for line in lines if line.startswith("MemAvailable:")), [])
    return int(words[1]) * 1024 if len(words) > 1 and words[1].isdecimal() else None
