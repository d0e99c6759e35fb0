"""Front: for every number of bytes the mixture that loses least, found by merging blocks without what is never best."""

from __future__ import annotations

__all__ = ["Front", "front", "knee", "shown"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixprec_runtime.fitting.blocks import Array, Blocks, blocks_of
from mixprec_runtime.fitting.merging import Merged, merged
from mixprec_runtime.fitting.prospects import hull
from mixprec_runtime.fitting.solver import least_bytes, least_loss
from mixprec_runtime.records.fit import ChosenMixture, Losses, Problem
from mixprec_runtime.records.fit_report import Limit, mixture_of

BUDGETS = 12  # that are solved where blocks depend on each other


@dataclass(frozen=True, kw_only=True, eq=False)
class Front:
    """Points of growing bytes and falling loss. Where not ``whole`` there are more between them that are not known.

    Each point is the best mixture of its bytes; its choice is put together when it is asked for.
    """

    bytes: Array
    loss: Array
    whole: bool
    mixture: Callable[[int], ChosenMixture]

    def __len__(self) -> int:
        return len(self.bytes)

    def within(self, size: int) -> ChosenMixture | None:
        """The best point of no more bytes than that; None below the smallest."""
        at = int(np.searchsorted(self.bytes, size, side="right")) - 1
        return self.mixture(at) if at >= 0 else None


def front(problem: Problem, losses: Losses, *, most: int | None = None) -> Front:
    """The whole front of bytes and loss, exact.

    Of more than ``most`` points (MOST_POINTS) those are found that are best for some price of a byte; of a problem
    whose blocks depend on each other the best of some budgets. Raises NothingServes, and where budgets are solved what
    the solver raises.
    """
    table = blocks_of(problem, losses, cost=lambda option: (option.bytes,))
    if table.together or table.products:
        return _of_budgets(problem, losses)
    found = merged(table, most=most)
    points: Merged | _Supported = _supported(table) if found is None else found

    def mixture(at: int) -> ChosenMixture:
        return mixture_of(problem, losses, table.sources(points.columns(at)))

    sizes = points.cost + problem.fixed_bytes
    return Front(bytes=sizes, loss=points.loss, whole=found is not None, mixture=mixture)


def shown(points: Front, count: int = 21) -> tuple[ChosenMixture, ...]:
    """Points for a table: the ends, the knee, and others so that bytes are as even as the front lets them be."""
    if not len(points):
        return ()
    first, last = points.bytes[0], points.bytes[-1]
    wanted = np.linspace(first, last, max(count, 2))
    right = np.searchsorted(points.bytes, wanted).clip(0, len(points) - 1)
    left = (right - 1).clip(0)
    nearer = np.where(wanted - points.bytes[left] < points.bytes[right] - wanted, left, right)
    places = sorted({0, len(points) - 1, knee(points), *nearer.tolist()})
    return tuple(points.mixture(at) for at in places)


def knee(points: Front) -> int:
    """The place where the front is farthest below the straight line between its ends."""
    sizes, loss = points.bytes - points.bytes[0], points.loss - points.loss[-1]
    across, down = max(float(sizes[-1]), 1.0), max(float(loss[0]), 1e-300)
    return int(np.argmin(sizes / across + loss / down))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Supported:
    cost: Array
    loss: Array
    start: tuple[int, ...]  # the column of each block in the smallest mixture
    steps: tuple[tuple[int, int], ...]  # block and column that each further point changes

    def columns(self, at: int) -> list[int]:
        taken = list(self.start)
        for block, column in self.steps[:at]:
            taken[block] = column
        return taken


def _supported(table: Blocks) -> _Supported:
    """Points that are best for some price of a byte: step by step what saves most loss for a byte."""
    blocks = table.blocks
    hulls = [hull(block.bytes, block.loss) for block in blocks]
    start = [first for first, _ in hulls]
    priced = [(-price, at, column) for at, (_, steps) in enumerate(hulls) for price, column in steps]
    steps = [(at, column) for _, at, column in sorted(priced)]
    now, sizes, loss = list(start), [0], [0.0]
    for at, column in steps:
        block, before = blocks[at], now[at]
        sizes.append(sizes[-1] + int(block.bytes[column]) - int(block.bytes[before]))
        loss.append(loss[-1] + float(block.loss[column]) - float(block.loss[before]))
        now[at] = column
    first = sum(int(block.bytes[column]) for block, column in zip(blocks, start, strict=True))
    lost = sum(float(block.loss[column]) for block, column in zip(blocks, start, strict=True))
    return _Supported(
        cost=np.array(sizes, np.int64) + first, loss=np.array(loss) + lost, start=tuple(start), steps=tuple(steps)
    )


def _of_budgets(problem: Problem, losses: Losses) -> Front:
    """The best of each of some budgets between the smallest and the largest mixture."""
    first = least_bytes(problem, losses, most_loss=math.inf)
    last = least_loss(problem, losses, limit=Limit())
    found = {first.bytes: first, last.bytes: last}
    for budget in np.linspace(first.bytes, max(last.bytes, first.bytes), BUDGETS)[1:-1].astype(np.int64).tolist():
        each = least_loss(problem, losses, limit=Limit(bytes=budget))
        found[each.bytes] = each
    points = [found[size] for size in sorted(found)]
    return Front(
        bytes=np.array([each.bytes for each in points], np.int64),
        loss=np.array([each.loss for each in points]),
        whole=False,
        mixture=points.__getitem__,
    )
