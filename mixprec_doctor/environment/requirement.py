"""Requirement: a line of Requires-Dist, parsed once however many ask."""

from __future__ import annotations

__all__ = ["parse_requirement"]

from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement


@lru_cache(maxsize=8192)
def parse_requirement(text: str) -> Requirement | None:
    """The requirement; None for what is none (PEP 508). Shared by all who ask: copy it before changing it."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None
