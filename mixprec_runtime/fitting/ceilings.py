"""Ceilings: a limit as sums that may not be exceeded, one for each kind of cost and rank."""

from __future__ import annotations

__all__ = ["Ceiling", "ceilings_of", "tightest"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixprec_runtime.fitting.errors import UntimedOptions
from mixprec_runtime.records.fit import Option, Problem
from mixprec_runtime.records.fit_report import Limit

ROUNDING = 1e-12  # relative, of sums of seconds


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """One sum that is limited: the whole model's bytes, those of a rank, or the seconds of a row."""

    wanted: float
    unit: str = "bytes"  # or "seconds"
    rank: int | None = None

    @property
    def most(self) -> float:
        """What a sum may be: seconds are summed with rounding."""
        return self.wanted * (1 + ROUNDING) if self.unit == "seconds" else self.wanted

    @property
    def place(self) -> str:
        """Words for what is limited."""
        if self.unit == "seconds":
            return "for a row through all units"
        return "for the whole model" if self.rank is None else f"on rank {self.rank}"

    def cost(self, option: Option) -> float:
        """What an option adds to the sum."""
        if self.unit == "seconds":
            return option.seconds or 0.0
        return option.bytes if self.rank is None else option.bytes_per_rank[self.rank]

    def fixed(self, problem: Problem) -> int:
        """What the sum is before anything is chosen."""
        if self.unit == "seconds":
            return 0
        return problem.fixed_bytes if self.rank is None else problem.fixed_bytes_per_rank[self.rank]

    def total(self, problem: Problem, sources: Mapping[str, str]) -> float:
        """The sum of a whole choice, exact for bytes."""
        if self.unit == "seconds":
            return problem.seconds_of(sources) or 0.0
        return problem.bytes_of(sources) if self.rank is None else problem.bytes_per_rank_of(sources)[self.rank]


def ceilings_of(problem: Problem, limit: Limit) -> tuple[Ceiling, ...]:
    """All sums of a limit. Raises UntimedOptions where seconds are limited and some were not measured."""
    found = [] if limit.bytes is None else [Ceiling(wanted=limit.bytes)]
    if limit.bytes_per_rank is not None:
        pairs = zip(limit.bytes_per_rank, problem.fixed_bytes_per_rank, strict=True)
        found += [Ceiling(wanted=most, rank=rank) for rank, (most, _) in enumerate(pairs)]
    if limit.seconds is not None:
        untimed = [
            (unit.name, option.source) for unit in problem.units for option in unit.options if option.seconds is None
        ]
        if untimed:
            raise UntimedOptions(untimed)
        found.append(Ceiling(wanted=limit.seconds, unit="seconds"))
    return tuple(found)


def tightest(problem: Problem, ceilings: Sequence[Ceiling]) -> tuple[Ceiling, ...]:
    """The ceilings that say something: of those to which every option adds the same the lowest stands for all."""
    found: dict[tuple[float, ...], Ceiling] = {}
    for each in ceilings:
        key = tuple(each.cost(option) for unit in problem.units for option in unit.options)
        if key not in found or each.most - each.fixed(problem) < found[key].most - found[key].fixed(problem):
            found[key] = each
    return tuple(found.values())
