"""The exact choice under a limit: an integer programme over columns, and every answer checked in whole numbers."""

from __future__ import annotations

__all__ = ["SECONDS", "least_bytes", "least_loss"]

from collections.abc import Mapping, Sequence

from mixprec_runtime.fitting.blocks import blocks_of
from mixprec_runtime.fitting.ceilings import Ceiling, ceilings_of
from mixprec_runtime.fitting.errors import NoMixtureFits
from mixprec_runtime.fitting.programme import Programme, Row
from mixprec_runtime.records.fit import ChosenMixture, Losses, Problem
from mixprec_runtime.records.fit_report import Limit, mixture_of

SECONDS = 120.0  # for one answer
EQUAL = 1e-12  # relative difference of sums of the same numbers in another order


def least_loss(problem: Problem, losses: Losses, *, limit: Limit, seconds: float = SECONDS) -> ChosenMixture:
    """The mixture that loses least within a limit; of several the one with the fewest bytes.

    The same problem has the same answer every time. Raises NoMixtureFits, NothingServes, UntimedOptions where seconds
    are limited and were not measured, and SolverGaveUp where the time was too short.
    """
    ceilings = ceilings_of(problem, limit)
    table = blocks_of(problem, losses, cost=lambda option: [each.cost(option) for each in ceilings])
    programme = Programme(table, seconds=seconds)
    rows = _rows(programme, problem, ceilings)
    best = programme.least(programme.loss, rows=rows, accept=lambda sources: _fits(problem, sources, ceilings))
    if best is None:
        raise _no_mixture(problem, programme, ceilings, rows)
    first = mixture_of(problem, losses, best)
    as_good = _not_above(first.loss)
    smaller = programme.least(
        programme.bytes,
        rows=[*rows, programme.row(programme.loss, as_good), _fewer(programme, problem, first.bytes - 1)],
        accept=lambda sources: _fits(problem, sources, ceilings) and losses.of(sources) <= as_good,
    )
    return first if smaller is None else mixture_of(problem, losses, smaller)


def least_bytes(problem: Problem, losses: Losses, *, most_loss: float, seconds: float = SECONDS) -> ChosenMixture:
    """The smallest mixture that loses no more than that; of several the one that loses least.

    Raises NoMixtureFits, NothingServes and SolverGaveUp.
    """
    table = blocks_of(problem, losses, cost=lambda option: (option.bytes,))
    programme = Programme(table, seconds=seconds)
    most = _not_above(most_loss)
    row = programme.row(programme.loss, most)
    best = programme.least(programme.bytes, rows=[row], accept=lambda sources: losses.of(sources) <= most)
    if best is None:
        least = losses.of(programme.least(programme.loss) or {})
        raise NoMixtureFits(most_loss, least, unit="loss")
    first = mixture_of(problem, losses, best)
    better = programme.least(
        programme.loss,
        rows=[_fewer(programme, problem, first.bytes)],
        accept=lambda sources: problem.bytes_of(sources) <= first.bytes,
    )
    return first if better is None else mixture_of(problem, losses, better)


def _fits(problem: Problem, sources: Mapping[str, str], ceilings: Sequence[Ceiling]) -> bool:
    return all(each.total(problem, sources) <= each.most for each in ceilings)


def _fewer(programme: Programme, problem: Problem, most: int) -> Row:
    return programme.row(programme.bytes, most - problem.fixed_bytes)


def _not_above(amount: float) -> float:
    return amount + EQUAL * abs(amount)


def _rows(programme: Programme, problem: Problem, ceilings: Sequence[Ceiling]) -> list[Row]:
    """A row for each sum that is limited; of ranks that hold the same of everything the tightest one stands for all."""
    tightest: dict[bytes, int] = {}
    rooms = [each.most - each.fixed(problem) for each in ceilings]
    for at in range(len(ceilings)):
        key = programme.cost(at).tobytes()
        if key not in tightest or rooms[at] < rooms[tightest[key]]:
            tightest[key] = at
    largest = max((float(programme.cost(at).max()) for at in tightest.values()), default=1.0)
    return [programme.row(programme.cost(at), rooms[at], excess=largest) for at in tightest.values()]


def _no_mixture(
    problem: Problem, programme: Programme, ceilings: Sequence[Ceiling], rows: Sequence[Row]
) -> NoMixtureFits:
    """Which sum cannot be small enough, and how small it can be."""
    for at, each in enumerate(ceilings):
        least = programme.least(programme.cost(at))
        if least is not None and each.total(problem, least) > each.most:
            return NoMixtureFits(each.wanted, each.total(problem, least), unit=each.unit, place=each.place)
    nearest = programme.least(programme.excess, rows=rows) or {}
    over = max(ceilings, key=lambda each: each.total(problem, nearest) - each.most)
    return NoMixtureFits(over.wanted, over.total(problem, nearest), unit=over.unit, place=over.place)
