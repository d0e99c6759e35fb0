"""Lenders: which releases of a distribution have all the names that another package takes from it, and what those
releases must not have."""

from __future__ import annotations

__all__ = ["Avoid", "Lenders"]

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Avoid:
    """Model types that no module of a package may register: the installed transformers has them itself."""

    package: str
    taken: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Lenders:
    """What reading the releases on the index gave. Versions are oldest first."""

    distribution: str
    read: tuple[str, ...]  # releases that were read
    having: tuple[str, ...]  # those of them that have every name
    fitting: tuple[str, ...]  # those of these whose own requirements admit what is installed beside them
    beside: str = ""  # what they have to fit: "transformers 4.52.3"
    is_whole: bool = True  # False: time was up before all were read

    @property
    def best(self) -> str | None:
        """The newest that has all, of those that fit what is installed where one does."""
        return (self.fitting or self.having or (None,))[-1]

    def __str__(self) -> str:
        if not self.read:
            return f"no release of {self.distribution} could be read"
        if not self.having:
            return f"none of the {len(self.read)} releases of {self.distribution} that were read has all of them"
        text = f"{self.distribution} has all of them in {_ranges(self.having, self.read)}"
        if self.beside and self.fitting != self.having:
            fitting = _ranges(self.fitting, self.read) if self.fitting else "none of these"
            text += f"; with the installed {self.beside}: {fitting}"
        return text if self.is_whole else f"{text} (of the {len(self.read)} releases read before time was up)"


def _ranges(versions: Sequence[str], among: Sequence[str]) -> str:
    """``0.6.3 to 0.9.2, 0.10.0``: runs of neighbours among all that were read."""
    runs: list[list[str]] = []
    before = None
    for version in versions:
        place = among.index(version)
        if runs and before is not None and place == before + 1:
            runs[-1].append(version)
        else:
            runs.append([version])
        before = place
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
