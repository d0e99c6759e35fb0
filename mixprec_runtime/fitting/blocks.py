"""Blocks: units that must be decided together, each possible decision of theirs a column of cost and loss."""

from __future__ import annotations

__all__ = ["Array", "Block", "Blocks", "Product", "Together", "blocks_of"]

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixprec_runtime.fitting.errors import NothingServes
from mixprec_runtime.records.fit import ChoiceUnit, Losses, Option, Problem

MOST_COLUMNS = 100_000  # of one block; more are not listed but written as products of choices
MOST_COMPARED = 3_000  # columns of several costs that are compared with each other

Array = NDArray[Any]
Cost = Callable[[Option], Sequence[float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Columns stand in a stable order: by cost, then loss. ``options[c, u]`` is the option of unit u in column c."""

    units: tuple[int, ...]  # places in the problem
    options: Array
    costs: Array  # a row per kind of cost
    bytes: Array
    loss: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Together:
    """Sets of columns of different blocks that cannot all be chosen from."""

    parts: tuple[tuple[int, Array], ...]  # block, the columns of it


@dataclass(frozen=True, kw_only=True, eq=False)
class Product:
    """What is lost beyond the blocks' own losses when columns of all sets are chosen."""

    parts: tuple[tuple[int, Array], ...]  # block, the columns of it
    nats: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Blocks:
    """The whole problem in columns; together and products are empty where every component could be listed."""

    problem: Problem
    blocks: tuple[Block, ...]
    together: tuple[Together, ...]
    products: tuple[Product, ...]

    def sources(self, columns: Sequence[int]) -> dict[str, str]:
        """The choice that a column of each block stands for, in the order of the problem's units."""
        taken: dict[int, int] = {}
        for block, column in zip(self.blocks, columns, strict=True):
            taken.update(zip(block.units, block.options[column].tolist(), strict=True))
        units = self.problem.units
        return {unit.name: unit.options[taken[at]].source for at, unit in enumerate(units)}


Ban = tuple[tuple[int, int], ...]  # units and options
Joint = tuple[Ban, float]  # units and options, nats


def blocks_of(problem: Problem, losses: Losses, *, cost: Cost) -> Blocks:
    """Blocks of a problem, without columns that another one is as good as in everything.

    Raises NothingServes where all decisions about a unit are forbidden.
    """
    numbered = _numbers(problem.units)
    joints = _joints(losses, numbered)
    bans, allowed = _bans(problem, losses, numbered)
    for unit, options in zip(problem.units, allowed, strict=True):
        if not options:
            raise _nothing(problem, (unit,))
    blocks: list[Block] = []
    for members in _divided(allowed, joints, bans, most=MOST_COLUMNS):
        within = set(members)
        mine = [joint for joint in joints if all(unit in within for unit, _ in joint[0])]
        banned = [ban for ban in bans if all(unit in within for unit, _ in ban)]
        seen = _seen_outside(within, joints, bans)
        block = _block(problem, losses, members, allowed=allowed, joints=mine, bans=banned, seen=seen, cost=cost)
        if not block.loss.size:
            raise _nothing(problem, [problem.units[at] for at in members])
        blocks.append(block)
    together, products = _across(blocks, joints, bans)
    return Blocks(problem=problem, blocks=tuple(blocks), together=together, products=products)


def _nothing(problem: Problem, units: Sequence[ChoiceUnit]) -> NothingServes:
    names = {unit.name for unit in units}
    reasons = [each.why for each in problem.forbidden if any(name in names for name, _ in each.choices)]
    return NothingServes(tuple(unit.name for unit in units), tuple(dict.fromkeys(reasons)))


def _numbers(units: Sequence[ChoiceUnit]) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (unit.name, option.source): (at, place) for at, unit in enumerate(units)
        for place, option in enumerate(unit.options)
    }  # fmt: skip


def _joints(losses: Losses, numbered: dict[tuple[str, str], tuple[int, int]]) -> list[Joint]:
    """Sets of choices that exist and can be made together, those of the same choices summed up."""
    found: dict[Ban, list[float]] = {}
    for joint in losses.joint:
        choices = tuple(sorted({numbered[each] for each in joint.choices if each in numbered}))
        if len(choices) == len(set(joint.choices)) == len({unit for unit, _ in choices}):
            found.setdefault(choices, []).append(joint.nats)
    sums = {key: math.fsum(nats) for key, nats in sorted(found.items())}
    return [(choices, nats) for choices, nats in sums.items() if nats]


def _bans(
    problem: Problem, losses: Losses, numbered: dict[tuple[str, str], tuple[int, int]]
) -> tuple[list[Ban], list[list[int]]]:
    """Combinations that are forbidden, and the options that each unit has without those forbidden by themselves."""
    allowed = [
        [place for place, option in enumerate(unit.options) if math.isfinite(losses.alone[unit.name, option.source])]
        for unit in problem.units
    ]
    bans: set[Ban] = set()
    for each in problem.forbidden:
        ban = tuple(sorted({numbered[choice] for choice in each.choices if choice in numbered}))
        never = len(ban) < len(set(each.choices)) or len({unit for unit, _ in ban}) < len(ban)
        if len(ban) == 1 and not never:
            unit, place = ban[0]
            allowed[unit] = [kept for kept in allowed[unit] if kept != place]
        elif ban and not never:
            bans.add(ban)
    return sorted(bans), allowed


def _divided(
    allowed: Sequence[Sequence[int]], joints: Sequence[Joint], bans: Sequence[Ban], *, most: int
) -> list[tuple[int, ...]]:
    """Units by block: all that hangs together, by joint losses where that is too much, else each by itself."""
    paired = [(choices[0][0], unit) for choices, _ in joints for unit, _ in choices[1:]]
    banned = [(ban[0][0], unit) for ban in bans for unit, _ in ban[1:]]

    def few(members: Iterable[int]) -> bool:
        return math.prod(len(allowed[unit]) for unit in members) <= most

    blocks: list[tuple[int, ...]] = []
    for whole in _joined(range(len(allowed)), [*paired, *banned]):
        for part in [whole] if few(whole) else _joined(whole, paired):
            blocks += [part] if few(part) else [(unit,) for unit in part]
    return sorted(blocks)


def _joined(units: Iterable[int], links: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    group = {unit: {unit} for unit in units}
    for first, second in links:
        if first in group and second in group and group[first] is not group[second]:
            group[first] |= group[second]
            for unit in group[second]:
                group[unit] = group[first]
    return sorted({tuple(sorted(members)) for members in group.values()})


def _seen_outside(within: set[int], joints: Sequence[Joint], bans: Sequence[Ban]) -> list[Ban]:
    """Sets of choices of a block on which something outside of it depends."""
    found = set()
    for group in (*(choices for choices, _ in joints), *bans):
        inside = tuple(choice for choice in group if choice[0] in within)
        if inside and len(inside) < len(group):
            found.add(inside)
    return sorted(found)


def _block(
    problem: Problem, losses: Losses, members: tuple[int, ...], *, allowed: Sequence[Sequence[int]],
    joints: Sequence[Joint], bans: Sequence[Ban], seen: Sequence[Ban], cost: Cost,
) -> Block:  # fmt: skip
    grids = np.meshgrid(*(np.array(allowed[unit], np.int16) for unit in members), indexing="ij")
    options = np.stack([grid.ravel() for grid in grids], axis=1)
    place = {unit: at for at, unit in enumerate(members)}
    for ban in bans:
        options = options[~_takes(options, place, ban)]
    size, loss = np.zeros(len(options), np.int64), np.zeros(len(options))
    dims = len(cost(problem.units[0].options[0]))
    costs = np.zeros((dims, len(options)), np.int64)
    for at, unit in enumerate(members):
        mine = problem.units[unit].options
        taken = options[:, at]
        loss += np.array([losses.alone[problem.units[unit].name, option.source] for option in mine])[taken]
        size += np.array([option.bytes for option in mine], np.int64)[taken]
        costs = costs + np.array([cost(option) for option in mine]).T.reshape(dims, len(mine))[:, taken]
    for choices, nats in joints:
        loss += nats * _takes(options, place, choices)
    signs = [_takes(options, place, group) for group in seen]
    kept = _undominated(costs, loss, size, signs)
    return Block(units=members, options=options[kept], costs=costs[:, kept], bytes=size[kept], loss=loss[kept])


def _takes(options: Array, place: dict[int, int], choices: Iterable[tuple[int, int]]) -> Array:
    taken = np.ones(len(options), bool)
    for unit, option in choices:
        taken &= options[:, place[unit]] == option
    return taken


def _undominated(costs: Array, loss: Array, size: Array, signs: Sequence[Array]) -> Array:
    """Columns for which no other costs as little of everything and loses as little, with fewer bytes if all is equal.

    ``signs`` are seen from outside: columns are only compared with those of the same.
    """
    if not loss.size:
        return np.arange(0)
    sign = np.zeros(len(loss), np.int64)
    for each in signs:
        _, sign = np.unique(sign * 2 + each, return_inverse=True)
    costs = np.array([row for row in costs if row.size and (row != row[0]).any()]).reshape(-1, len(loss))
    order = np.lexsort((size, loss, *costs[::-1], sign))
    rank = np.empty(len(order), np.int64)
    rank[np.lexsort((size, loss))] = np.arange(len(order))
    if len(costs) <= 1:
        ceiling = np.minimum.accumulate(rank[order] - sign[order] * len(order)) + sign[order] * len(order)
        kept: Array = order[rank[order] == ceiling]
        return kept
    return _compared(order, costs, rank, sign)


def _compared(order: Array, costs: Array, rank: Array, sign: Array) -> Array:
    same = (costs[:, order[1:]] == costs[:, order[:-1]]).all(axis=0) & (sign[order[1:]] == sign[order[:-1]])
    order = order[np.concatenate(([True], ~same))]
    if len(order) > MOST_COMPARED:
        return order
    c, r, s = costs[:, order], rank[order], sign[order]
    kept = [
        at for at in range(len(order))
        if not ((c <= c[:, [at]]).all(axis=0) & (r < r[at]) & (s == s[at])).any()
    ]  # fmt: skip
    return order[kept]


def _across(
    blocks: Sequence[Block], joints: Sequence[Joint], bans: Sequence[Ban]
) -> tuple[tuple[Together, ...], tuple[Product, ...]]:
    """Joint losses and bans whose units stand in different blocks."""
    home = {unit: (at, place) for at, block in enumerate(blocks) for place, unit in enumerate(block.units)}

    def parts(choices: Iterable[tuple[int, int]]) -> list[tuple[int, Array]]:
        masks: dict[int, Array] = {}
        for unit, option in choices:
            at, place = home[unit]
            taken = blocks[at].options[:, place] == option
            masks[at] = masks[at] & taken if at in masks else taken
        return list(masks.items())

    products, together = [], []
    for choices, nats in joints:
        masks = parts(choices)
        if len(masks) > 1:
            products.append(Product(parts=tuple(masks), nats=nats))
    for ban in bans:
        masks = parts(ban)
        if len(masks) > 1:
            together.append(Together(parts=tuple(masks)))
    return tuple(together), tuple(products)
