"""The exact choice under a limit, checked in whole numbers.

Where each block counts in one limited sum, blocks are merged; else, and where they depend on each other, an integer
programme is solved.
"""

from __future__ import annotations

__all__ = ["SECONDS", "least_bytes", "least_loss"]

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixprec_runtime.fitting.blocks import Blocks, blocks_of
from mixprec_runtime.fitting.ceilings import Ceiling, ceilings_of, tightest
from mixprec_runtime.fitting.errors import NoMixtureFits, NothingServes
from mixprec_runtime.fitting.merging import merged
from mixprec_runtime.records.fit import ChosenMixture, Losses, Problem
from mixprec_runtime.records.fit_report import Limit, mixture_of

if TYPE_CHECKING:
    from mixprec_runtime.fitting.programme import Programme, Row

SECONDS = 120.0  # for one answer
EQUAL = 1e-12  # relative difference of sums of the same numbers in another order


def least_loss(problem: Problem, losses: Losses, *, limit: Limit, seconds: float = SECONDS) -> ChosenMixture:
    """The mixture that loses least within a limit; of several the one with the fewest bytes.

    The same problem has the same answer every time. Raises NoMixtureFits, NothingServes, UntimedOptions where seconds
    are limited and were not measured, and SolverGaveUp where the time was too short.
    """
    ceilings = tightest(problem, ceilings_of(problem, limit)) or (Ceiling(wanted=math.inf),)
    table = blocks_of(problem, losses, cost=lambda option: [each.cost(option) for each in ceilings])

    def fits(sources: Mapping[str, str]) -> bool:
        return all(each.total(problem, sources) <= each.most for each in ceilings)

    found = _by_merging(problem, table, ceilings)
    if found is not None and fits(found):
        return mixture_of(problem, losses, found)
    programme = _programme(table, seconds)
    rows = [programme.row(programme.cost(at), each.most - each.fixed(problem)) for at, each in enumerate(ceilings)]
    best = programme.least(programme.loss, rows=rows, accept=fits)
    if best is None:
        raise _no_mixture(problem, programme, ceilings)
    first = mixture_of(problem, losses, best)
    as_good = _not_above(first.loss)
    smaller = programme.least(
        programme.bytes,
        rows=[*rows, programme.row(programme.loss, as_good), _fewer(programme, problem, first.bytes - 1)],
        accept=lambda sources: fits(sources) and losses.of(sources) <= as_good,
    )
    return first if smaller is None else mixture_of(problem, losses, smaller)


def least_bytes(problem: Problem, losses: Losses, *, most_loss: float, seconds: float = SECONDS) -> ChosenMixture:
    """The smallest mixture that loses no more than that; of several the one that loses least.

    Raises NoMixtureFits, NothingServes and SolverGaveUp.
    """
    table = blocks_of(problem, losses, cost=lambda option: (option.bytes,))
    most = _not_above(most_loss)
    points = merged(table)
    if points is not None:
        for at in range(int(np.searchsorted(-points.loss, -_not_above(most), side="left")), len(points.loss)):
            found = mixture_of(problem, losses, table.sources(points.columns(at)))
            if found.loss <= most:
                return found
    programme = _programme(table, seconds)
    row = programme.row(programme.loss, min(most, float(np.abs(programme.loss).sum())))
    best = programme.least(programme.bytes, rows=[row], accept=lambda sources: losses.of(sources) <= most)
    if best is None:
        closest = programme.least(programme.loss)
        if closest is None:
            raise _excluded(problem)
        raise NoMixtureFits(most_loss, losses.of(closest), unit="loss")
    first = mixture_of(problem, losses, best)
    better = programme.least(
        programme.loss,
        rows=[_fewer(programme, problem, first.bytes)],
        accept=lambda sources: problem.bytes_of(sources) <= first.bytes,
    )
    return first if better is None else mixture_of(problem, losses, better)


def _by_merging(problem: Problem, table: Blocks, ceilings: Sequence[Ceiling]) -> dict[str, str] | None:
    """The choice where every block counts in one sum alone (all bytes, or those of a stage), sum by sum."""
    counted = [
        [kind for kind in range(len(ceilings)) if (block.costs[kind] != block.costs[kind][0]).any()]
        for block in table.blocks
    ]
    if table.together or table.products or any(len(kinds) > 1 for kinds in counted):
        return None
    taken = [0] * len(table.blocks)
    for kind, ceiling in enumerate(ceilings):
        mine = [at for at, kinds in enumerate(counted) if (kinds or [0]) == [kind]]
        others = sum(block.costs[kind][0] for at, block in enumerate(table.blocks) if at not in mine)
        part = replace(table, blocks=tuple(table.blocks[at] for at in mine))
        room = ceiling.most - ceiling.fixed(problem) - others
        points = merged(part, kind=kind, room=room, last_only=True)
        if points is None or not len(points.cost):
            return None
        for at, column in zip(mine, points.columns(len(points.cost) - 1), strict=True):
            taken[at] = column
    return table.sources(taken)


def _programme(table: Blocks, seconds: float) -> Programme:
    from mixprec_runtime.fitting.programme import Programme

    return Programme(table, seconds=seconds)


def _fewer(programme: Programme, problem: Problem, most: int) -> Row:
    return programme.row(programme.bytes, most - problem.fixed_bytes)


def _not_above(amount: float) -> float:
    return amount + EQUAL * abs(amount)


def _excluded(problem: Problem) -> NothingServes:
    """For a problem of which no whole choice is allowed, though each block has some."""
    names = [name for each in problem.forbidden for name, _ in each.choices]
    return NothingServes(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(each.why for each in problem.forbidden)))


def _no_mixture(problem: Problem, programme: Programme, ceilings: Sequence[Ceiling]) -> NoMixtureFits | NothingServes:
    """Which sum cannot be small enough, and how small it can be."""
    for at, each in enumerate(ceilings):
        least = programme.least(programme.cost(at))
        if least is None:
            return _excluded(problem)
        if each.total(problem, least) > each.most:
            return NoMixtureFits(each.wanted, each.total(problem, least), unit=each.unit, place=each.place)
    largest = max(float(programme.cost(at).max()) for at in range(len(ceilings)))
    rows = [
        programme.row(programme.cost(at), each.most - each.fixed(problem), excess=largest)
        for at, each in enumerate(ceilings)
    ]
    nearest = programme.least(programme.excess, rows=rows) or {}
    over = max(ceilings, key=lambda each: each.total(problem, nearest) - each.most)
    return NoMixtureFits(over.wanted, over.total(problem, nearest), unit=over.unit, place=over.place)
