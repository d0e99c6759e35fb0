"""Bytes as people read them."""

from __future__ import annotations

__all__ = ["human_bytes", "ratio"]


def human_bytes(count: float) -> str:
    """Decimal units, as disks and model cards use: ``134.5 MB``."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def ratio(part: float, whole: float) -> str:
    """``52.1 %`` of the whole; a dash when there is no whole."""
    return f"{100 * part / whole:.1f} %" if whole else "-"
