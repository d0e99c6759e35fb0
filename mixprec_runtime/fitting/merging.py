"""Merging: blocks joined one after the other without the sums that are never best, where one cost is counted."""

from __future__ import annotations

__all__ = ["MOST_POINTS", "Merged", "merged"]

from dataclasses import dataclass

import numpy as np

from mixprec_runtime.fitting.blocks import Array, Block, Blocks
from mixprec_runtime.fitting.prospects import Prospects

MOST_POINTS = 200_000
CANDIDATES = 4_000_000  # that are looked at together
EQUAL = 1e-12  # of the largest loss: less is a sum in another order


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """Points of growing cost; each knows from which point and column it was made."""

    cost: Array
    loss: Array
    bytes: Array
    before: Array
    column: Array

    def __len__(self) -> int:
        return len(self.cost)

    def at(self, places: Array) -> _Sums:
        return _Sums(
            cost=self.cost[places], loss=self.loss[places], bytes=self.bytes[places],
            before=self.before[places], column=self.column[places],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Merged:
    """Points of growing cost and falling loss (bytes where it is equal): all choices that are best for their cost."""

    cost: Array
    loss: Array
    order: tuple[int, ...]  # of the blocks
    trail: tuple[tuple[Array, Array], ...]
    last: Array

    def columns(self, at: int) -> list[int]:
        """The column of each block, of one point."""
        taken, place = [0] * len(self.order), int(self.last[at])
        for block, (before, column) in zip(reversed(self.order), reversed(self.trail), strict=True):
            taken[block] = int(column[place])
            place = int(before[place])
        return taken


def merged(
    table: Blocks, *, kind: int = 0, room: float = np.inf, most: int | None = None, last_only: bool = False
) -> Merged | None:
    """All best choices by that cost (the first by default) of at most ``room``; only the last is wanted sometimes.

    None where blocks depend on each other, or at some time there are more than ``most`` points (MOST_POINTS).
    """
    if table.together or table.products:
        return None
    most = MOST_POINTS if most is None else most
    blocks = table.blocks
    order = sorted(range(len(blocks)), key=lambda at: (blocks[at].costs[kind].tolist(), at))  # equal sums for long
    least = [blocks[at].costs[kind].min() for at in order]
    none = np.zeros(1, np.int32)
    sums = _Sums(cost=np.zeros(1, np.int64), loss=np.zeros(1), bytes=np.zeros(1, np.int64), before=none, column=none)
    trail: list[tuple[Array, Array]] = []
    prospects = Prospects([blocks[at] for at in order], kind=kind, room=room) if last_only else None
    for done, at in enumerate(order, 1):
        sums = _with_block(sums, blocks[at], kind, room=room - sum(least[done:]))
        if prospects is not None:
            sums = sums.at(np.flatnonzero(prospects.good(sums.cost, sums.loss, done=done)))
        if len(sums) > most:
            return None
        trail.append((sums.before, sums.column))
    lower = np.concatenate(([np.inf], np.minimum.accumulate(sums.loss)[:-1]))
    slack = EQUAL * float(np.abs(sums.loss).max(initial=0))
    fewer = np.concatenate(([True], np.diff(sums.bytes) < 0))[: len(sums)]
    last = np.flatnonzero((sums.loss < lower - slack) | ((sums.loss == lower) & fewer))
    return Merged(cost=sums.cost[last], loss=sums.loss[last], order=tuple(order), trail=tuple(trail), last=last)


def _with_block(sums: _Sums, block: Block, kind: int, *, room: float) -> _Sums:
    """All sums with one of a block's columns that are best for their cost."""
    cost, whole = block.costs[kind], bool((block.costs[kind] == block.bytes).all())
    kept: _Sums | None = None
    at_once = max(1, CANDIDATES // max(len(sums), 1))
    places = np.arange(len(sums), dtype=np.int32)
    for start in range(0, len(cost), at_once):
        part = np.arange(start, min(start + at_once, len(cost)), dtype=np.int32)
        new = _Sums(
            cost=(sums.cost + cost[part, None]).ravel(),
            loss=(sums.loss + block.loss[part, None]).ravel(),
            bytes=(sums.bytes + block.bytes[part, None]).ravel(),
            before=np.tile(places, len(part)),
            column=np.repeat(part, len(sums)),
        )
        new = new if kept is None else _joined(kept, new)
        kept = new.at(_best(new, by_bytes=whole, room=room))
    assert kept is not None  # noqa: S101  a block has columns
    return kept


def _joined(first: _Sums, second: _Sums) -> _Sums:
    return _Sums(
        cost=np.concatenate((first.cost, second.cost)), loss=np.concatenate((first.loss, second.loss)),
        bytes=np.concatenate((first.bytes, second.bytes)), before=np.concatenate((first.before, second.before)),
        column=np.concatenate((first.column, second.column)),
    )  # fmt: skip


def _best(sums: _Sums, *, by_bytes: bool, room: float) -> Array:
    """Places of the points for which nothing of as little cost loses as little (with as few bytes), by cost."""
    order: Array = np.argsort(sums.cost, kind="stable")  # merges the runs that are sorted already
    order = order[: np.searchsorted(sums.cost[order], room, side="right")]
    if not order.size:
        return order
    if by_bytes:
        falling = sums.loss[order]
    else:
        falling = np.empty(len(order), np.int64)
        falling[np.lexsort((sums.bytes[order], sums.loss[order]))] = np.arange(len(order))
    lower = np.minimum.accumulate(falling)
    order = order[np.concatenate(([True], falling[1:] < lower[:-1]))]
    return order[np.concatenate((np.diff(sums.cost[order]) > 0, [True]))]  # of the same cost the last
