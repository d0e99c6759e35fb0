"""Truth: yes, no, or not decided by the source."""

from __future__ import annotations

__all__ = ["Truth", "every", "some"]

from collections.abc import Iterable
from enum import Enum


class Truth(Enum):
    """The answer to a condition that is judged and not run."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, value: bool) -> Truth:
        """YES for true, NO for false."""
        return cls.YES if value else cls.NO

    def __invert__(self) -> Truth:
        return {Truth.YES: Truth.NO, Truth.NO: Truth.YES}.get(self, Truth.UNKNOWN)


def every(truths: Iterable[Truth]) -> Truth:
    """``and``: NO as soon as one is, UNKNOWN when one is open."""
    seen = set()
    for truth in truths:
        if truth is Truth.NO:
            return Truth.NO
        seen.add(truth)
    return Truth.UNKNOWN if Truth.UNKNOWN in seen else Truth.YES


def some(truths: Iterable[Truth]) -> Truth:
    """``or``: YES as soon as one is, UNKNOWN when one is open."""
    return ~every(~truth for truth in truths)
