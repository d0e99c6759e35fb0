"""FitReport: what a fit was asked, what it knew, what it chose and how well that does."""

from __future__ import annotations

__all__ = ["FitReport", "Limit", "mixture_of"]

from collections.abc import Mapping
from dataclasses import dataclass, field

from mixprec_runtime.records.fit import ChosenMixture, Losses, MeasuredMixture, Problem


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a mixture may cost at most; all that is given holds together.

    ``bytes`` are those of the whole model, ``bytes_per_rank`` of each rank (as many as the problem has), ``seconds``
    the time of one row through all units that are chosen.
    """

    bytes: int | None = None
    bytes_per_rank: tuple[int, ...] | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class FitReport:
    """All that the reports of a fit need. ``front`` are the points that are shown, in the order of their bytes."""

    mix: str  # the file that names the sources
    asked: str  # the budget as it was written: "140MB", "0.5", "gpu:24GiB"
    goal: str  # the same in words: "least loss under 140.0 MB"
    problem: Problem
    losses: Losses
    chosen: ChosenMixture
    limit: Limit | None = None  # None where the fewest bytes under a loss were wanted
    most_loss: float | None = None  # ... this one
    front: tuple[ChosenMixture, ...] = ()
    front_points: int | None = (
        None  # that the whole front has; None: it was too long, and budgets were solved one by one
    )
    measured: tuple[MeasuredMixture, ...] = ()  # "mixture" and "all NAME" for a source alone
    measured_text: str | None = None  # what they were measured on
    seconds: Mapping[str, float] = field(default_factory=dict)  # by step, in order: "measuring", "solving" ...
    notes: tuple[str, ...] = ()  # what the reader must know, a sentence each
    written: str | None = None  # the mix file that was written

    @property
    def sources(self) -> tuple[str, ...]:
        """All sources that any unit can be taken from, those of most bytes first."""
        sizes: dict[str, int] = {}
        kept = sum(unit.options[0].bytes for unit in self.problem.units)
        for unit in self.problem.units:
            for option in unit.options:
                sizes[option.source] = sizes.get(option.source, kept) + option.bytes - unit.options[0].bytes
        return tuple(sorted(sizes, key=lambda source: -sizes[source]))

    def alone(self, source: str) -> ChosenMixture:
        """The model with every unit from one source; units that it has not come from their first option."""
        chosen = {
            unit.name: source if any(each.source == source for each in unit.options) else unit.options[0].source
            for unit in self.problem.units
        }
        return mixture_of(self.problem, self.losses, chosen)


def mixture_of(problem: Problem, losses: Losses, sources: Mapping[str, str]) -> ChosenMixture:
    """A choice with all that it costs and loses."""
    return ChosenMixture(
        sources=dict(sources),
        bytes=problem.bytes_of(sources),
        bytes_per_rank=problem.bytes_per_rank_of(sources),
        loss=losses.of(sources),
        seconds=problem.seconds_of(sources),
    )
