"""Explanation: what a finding's code stands for, in the words of `mixprec explain` and of the reference pages."""

from __future__ import annotations

__all__ = ["Explanation"]

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One code: never renumbered, never reused."""

    code: str
    title: str
    promise: str  # one line: what it says when it speaks
    explanation: str
    example: str
    cure: str
