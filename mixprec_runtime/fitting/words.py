"""Words: sizes and times in sentences; those of memory, which is sold so, in powers of 1024."""

from __future__ import annotations

__all__ = ["memory_words", "size_words", "time_words"]

STEPS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def size_words(count: int) -> str:
    """``134.5 MB``: decimal, as model cards have it."""
    if count < 1000:
        return f"{count} bytes"
    size, unit = next((count / step, unit) for step, unit in STEPS if count >= step)
    return f"{size:.2f} {unit}" if unit == "GB" else f"{size:.1f} {unit}"


def memory_words(count: int) -> str:
    """``23.50 GiB``."""
    return f"{count / 2**30:,.2f} GiB" if count >= 2**30 // 10 else f"{count / 2**20:,.2f} MiB"


def time_words(seconds: float) -> str:
    """``3.20 ms``, ``150.0 µs``."""
    return f"{seconds * 1e3:,.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:,.1f} µs"
