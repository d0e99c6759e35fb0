"""Covering: the fewest rules that colour a table of kinds and layers, where the first rule that covers a cell wins."""

from __future__ import annotations

__all__ = ["Cover", "fewest_covers"]

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, count

KEPT = 12  # tables that are followed at each step of the first search
EXPANDED = 300  # tables from which the second one, for fewer rules, goes on before it gives up
SHOWN = 8  # answers of the fewest rules
MOST_ROWS = 6  # of which every set is tried as the rows of a rule

Table = tuple[tuple[int, ...], ...]  # columns that are still to be coloured, as bits, by row and colour


@dataclass(frozen=True, kw_only=True)
class Cover:
    """One rule: the rows and columns that it must name, and the colour that it gives."""

    rows: tuple[str, ...]
    columns: frozenset[int]
    colour: str


def fewest_covers(
    cells: Mapping[tuple[str, int], str], *, default: str, groups: Sequence[Sequence[str]] = ()
) -> list[tuple[Cover, ...]]:
    """Lists of as few rules as possible that leave each cell its colour, in the order in which they are tried.

    A rule covers whole rows and whole columns; cells that no rule covers have the default's colour, and those that are
    not in the table may have any. Each rule covers as much as it can. The fewest are found for certain in a table of
    few rows and colours; else they are those of a search that follows the most promising tables. ``groups`` are sets
    of rows that a rule should be tried for where there are too many to try all.
    """
    rows = tuple(dict.fromkeys(row for row, _ in cells))
    colours = tuple(dict.fromkeys([*cells.values(), default]))
    start = tuple(
        tuple(
            sum(1 << column for (named, column), found in cells.items() if (named, found) == (row, colour))
            for colour in colours
        )
        for row in rows
    )
    search = _Search(colours.index(default), _sets(rows, groups))
    paths = search.promising(start)
    paths = search.exactly(start, fewer_than=len(paths[0])) or paths
    trimmed = [search.trimmed(path, start, by_columns=both) for path in paths[:SHOWN] for both in (False, True)]
    return [
        tuple(
            Cover(rows=tuple(rows[row] for row in chosen), columns=_bits(columns), colour=colours[colour])
            for chosen, columns, colour in path
        )
        for path in dict.fromkeys((*trimmed, *paths))
    ]


_Step = tuple[tuple[int, ...], int, int]  # rows, columns as bits, colour


class _Search:
    def __init__(self, default: int, sets: Sequence[tuple[int, ...]]) -> None:
        self._default = default
        self._sets = sets

    def exactly(self, start: Table, *, fewer_than: int) -> list[tuple[_Step, ...]]:
        """A shortest list, where there is one of fewer rules and not too many tables stand on the way to it."""
        order = count()
        waiting: list[tuple[int, int, int, Table, tuple[_Step, ...]]] = [(self._least(start), 0, 0, start, ())]
        depths = {start: 0}
        expanded = 0
        while waiting and expanded < EXPANDED:
            bound, _, _, table, path = heapq.heappop(waiting)
            if bound >= fewer_than:
                return []
            if self._least(table) == 0:
                return [path]
            expanded += 1
            depth = len(path) + 1
            for step, after in self._steps(table):
                if depths.get(after, fewer_than) <= depth:
                    continue
                depths[after] = depth
                if (least := depth + self._least(after)) < fewer_than:
                    heapq.heappush(waiting, (least, -depth, next(order), after, (*path, step)))
        return []

    def promising(self, start: Table) -> list[tuple[_Step, ...]]:
        """The lists that following the best tables of each step comes to."""
        layer: dict[Table, tuple[_Step, ...]] = {start: ()}
        while True:
            if done := [path for table, path in layer.items() if self._least(table) == 0]:
                return done[:SHOWN]
            following: dict[Table, tuple[_Step, ...]] = {}
            for table, path in layer.items():
                for step, after in self._steps(table):
                    following.setdefault(after, (*path, step))
            best = sorted(following, key=self._left)[:KEPT]
            layer = {table: following[table] for table in best}

    def trimmed(self, path: tuple[_Step, ...], start: Table, *, by_columns: bool) -> tuple[_Step, ...]:
        """The list without the rows, or columns, of each rule that the rules behind it colour as well.

        For that each rule is first given all columns that it may have.
        """
        steps = list(path)
        every = 0
        for masks in start:
            every |= sum(masks)
        for at, (rows, columns, colour) in enumerate(steps):
            for column in _bits(every & ~columns):
                self._try(steps, at, (rows, steps[at][1] | 1 << column, colour), start)
        for at, (rows, columns, colour) in enumerate(steps):
            for row in rows:
                self._try(steps, at, (tuple(each for each in steps[at][0] if each != row), columns, colour), start)
            for column in _bits(columns) if by_columns else ():
                self._try(steps, at, (steps[at][0], steps[at][1] & ~(1 << column), colour), start)
        return tuple(steps)

    def _try(self, steps: list[_Step], at: int, step: _Step, start: Table) -> None:
        """Put another rule in that place, where all cells keep their colours."""
        before = steps[at]
        steps[at] = step
        if not step[0] or not step[1] or not self._colours(steps, start):
            steps[at] = before

    def _colours(self, path: Sequence[_Step], start: Table) -> bool:
        """Whether the rules give every cell its colour."""
        for row, masks in enumerate(start):
            waiting = sum(masks)
            for rows, columns, colour in path:
                if row in rows:
                    if waiting & columns & ~masks[colour]:
                        return False
                    waiting &= ~columns
            if waiting & ~masks[self._default]:
                return False
        return True

    def _least(self, table: Table) -> int:
        """So many rules are needed at least: a rule has one colour, and takes at most one from each row."""
        colours = [0] * len(table[0])
        most = 0
        for row in table:
            wrong = 0
            for colour, mask in enumerate(row):
                if mask and colour != self._default:
                    wrong += 1
                    colours[colour] = 1
            most = max(most, wrong)
        return max(most, sum(colours))

    def _left(self, table: Table) -> tuple[int, int]:
        wrong = [mask for row in table for colour, mask in enumerate(row) if mask and colour != self._default]
        return len(wrong), sum(mask.bit_count() for mask in wrong)

    def _steps(self, table: Table) -> Iterator[tuple[_Step, Table]]:
        taken = [0] * len(table)
        for row, masks in enumerate(table):
            for mask in masks:
                taken[row] |= mask
        for rows in self._sets:
            for colour in range(len(table[0])):
                own = bad = 0
                for row in rows:
                    own |= table[row][colour]
                    bad |= taken[row] & ~table[row][colour]
                columns = own & ~bad
                if not columns or any(not table[row][colour] & columns for row in rows):
                    continue
                after = tuple(
                    tuple(mask & ~columns for mask in masks) if row in rows else masks
                    for row, masks in enumerate(table)
                )
                yield (rows, columns, colour), after


def _sets(rows: Sequence[str], groups: Sequence[Sequence[str]]) -> list[tuple[int, ...]]:
    numbers = range(len(rows))
    if len(rows) <= MOST_ROWS:
        return [each for size in range(len(rows), 0, -1) for each in combinations(numbers, size)]
    named = [tuple(at for at in numbers if rows[at] in group) for group in groups]
    tried = [tuple(numbers), *named, *combinations(numbers, 2), *((at,) for at in numbers)]
    return [each for each in dict.fromkeys(tried) if each]


def _bits(mask: int) -> frozenset[int]:
    return frozenset(at for at in range(mask.bit_length()) if mask >> at & 1)
