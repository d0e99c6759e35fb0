"""Files of a patient, read so that nothing lying there can make the reader wait or fill the memory."""

from __future__ import annotations

__all__ = ["LARGEST_LIST", "LARGEST_SOURCE", "read_file", "read_start"]

import os
import stat
from pathlib import Path

LARGEST_SOURCE = 32 * 2**20  # the longest module that anybody ships has some 5 MB
LARGEST_LIST = 32 * 2**20  # the RECORD of a distribution with two hundred thousand files


def read_file(path: Path | str, *, most: int) -> bytes | None:
    """The contents of a regular file; None where there is none, or where it is longer than ``most``."""
    content = read_start(path, most=most + 1)
    return None if content is None or len(content) > most else content


def read_start(path: Path | str, *, most: int) -> bytes | None:
    """The first bytes of a regular file; None where there is none. A pipe or a device is never waited for."""
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would never return.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):  # ValueError: a path with a null byte
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        parts: list[bytes] = []
        left = min(most, found.st_size + 1)
        while left > 0 and (part := os.read(descriptor, left)):
            parts.append(part)
            if len(part) < left:
                break  # of a regular file: its end
            left -= len(part)
        return b"".join(parts)
    except OSError:
        return None
    finally:
        os.close(descriptor)
