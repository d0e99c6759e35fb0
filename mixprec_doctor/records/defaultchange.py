"""DefaultChange: a parameter whose default one release changed without a word."""

from __future__ import annotations

__all__ = ["DefaultChange"]

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DefaultChange:
    """The default of a parameter before and since a release, as source text."""

    parameter: str
    before: str
    now: str
    last: str  # the last release that was read with the old default
    since: str  # the first with the new one
    is_ahead: bool = False  # the new default comes with a release after the installed one
