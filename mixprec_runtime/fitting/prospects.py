"""Prospects: how little a sum of some blocks can still come to lose, were columns of the others taken in parts."""

from __future__ import annotations

__all__ = ["Prospects", "hull"]

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mixprec_runtime.fitting.blocks import Array, Block

ROUNDING = 1e-9  # of all losses: what is worse by less is not told apart


def hull(costs: Array, loss: Array) -> tuple[int, list[tuple[float, int]]]:
    """The cheapest column, and those on the lower hull after it, each with the loss that its cost saves a unit."""
    order = np.lexsort((loss, costs)).tolist()
    found = [order[0]]

    def price(first: int, second: int) -> float:
        return float((loss[first] - loss[second]) / (costs[second] - costs[first]))

    for each in order[1:]:
        if loss[each] >= loss[found[-1]] or costs[each] == costs[found[-1]]:
            continue
        while len(found) > 1 and price(found[-2], found[-1]) <= price(found[-1], each):
            found.pop()
        found.append(each)
    return found[0], [(price(before, each), each) for before, each in pairwise(found)]


class Prospects:
    """Bounds for blocks that are merged in this order within ``room``."""

    def __init__(self, blocks: Sequence[Block], *, kind: int, room: float) -> None:
        self._room = room
        hulls = [hull(block.costs[kind], block.loss) for block in blocks]
        firsts = [
            (block.costs[kind][first], block.loss[first]) for block, (first, _) in zip(blocks, hulls, strict=True)
        ]
        # What the blocks from each one on cost and lose at the least cost.
        self._start = np.array([*firsts, (0, 0)], np.float64)[::-1].cumsum(axis=0)[::-1]
        steps = []
        for at, (block, (first, priced)) in enumerate(zip(blocks, hulls, strict=True)):
            for (_, before), (price, after) in pairwise([(0.0, first), *priced]):
                more = block.costs[kind][after] - block.costs[kind][before]
                steps.append((price, at, more, block.loss[before] - block.loss[after]))
        steps.sort(key=lambda step: -step[0])
        self._steps = np.array(steps, np.float64).reshape(-1, 4)
        self._most = self._found() + ROUNDING * sum(float(np.abs(block.loss).max()) for block in blocks)

    def good(self, cost: Array, loss: Array, *, done: int) -> Array:
        """Which sums of the first ``done`` blocks can become as good as a whole choice that is known."""
        rest = self._steps[self._steps[:, 1] >= done]
        start, lost = self._start[done]
        costs = np.concatenate(([start], start + rest[:, 2].cumsum()))
        losses = np.concatenate(([lost], lost - rest[:, 3].cumsum()))
        least = loss + np.interp(self._room - cost, costs, losses)
        kept: Array = least <= self._most
        return kept

    def _found(self) -> float:
        """The loss of one choice that fits: steps that save most for their cost, as long as there is room."""
        cost, loss = self._start[0]
        closed = set()
        for _, block, more, saved in self._steps.tolist():
            if block in closed or cost + more > self._room:
                closed.add(block)
                continue
            cost, loss = cost + more, loss - saved
        return float(loss) if cost <= self._room else np.inf
