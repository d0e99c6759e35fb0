"""How an adapter says what it relies on in an engine where no import or call of it shows that."""

from __future__ import annotations

__all__ = ["Word"]

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Word:
    """A piece of the engine's source that must be somewhere below one of some modules or packages."""

    text: str
    places: tuple[str, ...]
    why: str
