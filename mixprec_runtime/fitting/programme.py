"""Programme: the blocks' columns as an integer programme for HiGHS, scaled, and each answer checked by the caller."""

from __future__ import annotations

__all__ = ["Programme", "Row"]

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, vstack

from mixprec_runtime.fitting.blocks import Array, Blocks
from mixprec_runtime.fitting.errors import SolverGaveUp

RANGE = 1e7  # of an objective: HiGHS stops at an absolute gap of 1e-6
LARGEST, SLACK = 1e4, 1e-5  # of a row: HiGHS takes 1e-6 for nothing, and is less sure where numbers are large
TINY = 1e-5  # what is less in a row makes HiGHS lose solutions
UNSURE = 0.1  # difference to the solver's bound, on that scale, that is more than rounding
CUTS = 100  # solutions that fit but for rounding, one after the other

Accept = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A sum over variables that is at most ``upper``."""

    values: Array
    upper: float


class Programme:
    """One variable for each column, one of each block is 1; further ones for products, the last for an excess."""

    def __init__(self, table: Blocks, *, seconds: float) -> None:
        self._table = table
        self._until = time.monotonic() + seconds
        self._seconds = seconds
        self._starts = np.cumsum([0, *(block.loss.size for block in table.blocks)])
        self.columns = int(self._starts[-1])
        self.size = self.columns + len(table.products) + 1
        self.loss = self._spread([block.loss for block in table.blocks])
        self.loss[self.columns : -1] = [product.nats for product in table.products]
        self.bytes = self._spread([block.bytes for block in table.blocks])
        self.excess = np.zeros(self.size)
        self.excess[-1] = 1

    def cost(self, kind: int) -> Array:
        """That cost of each column."""
        return self._spread([block.costs[kind] for block in self._table.blocks])

    def row(self, values: Array, upper: float, *, excess: float = 0.0) -> Row:
        """``values`` of what is chosen sum up to at most ``upper``, and ``excess`` more for each unit of the last one.

        Nothing that fits is excluded by rounding; what is let in by it is for ``accept`` to see.
        """
        lowest, rest = self._lowest(values)
        largest = float(np.abs(rest).max())
        if not largest:
            return Row(values=rest, upper=upper - lowest)
        rest[-1] = -excess
        whole = bool((rest == np.round(rest)).all())
        unit = float(np.gcd.reduce(rest[:-1].astype(np.int64))) if whole else 0.0
        room = np.floor((upper - lowest) / unit) * unit if unit else upper - lowest
        scale = LARGEST / max(largest, unit * LARGEST)
        rest *= scale
        tiny = np.abs(rest) < TINY
        below = float(np.abs(rest[tiny & (rest < 0)]).sum())
        rest[tiny] = 0
        return Row(values=rest, upper=room * scale + below + max(SLACK, unit * scale / 2))

    def least(
        self, values: Array, *, rows: Sequence[Row] = (), accept: Accept = lambda _: True
    ) -> dict[str, str] | None:
        """The choice with the smallest sum of ``values`` within the rows that is accepted; None where there is none.

        Raises SolverGaveUp where the time is over before that is certain.
        """
        if not self._table.blocks:
            return {} if accept({}) else None
        cuts: list[Row] = []
        for _ in range(CUTS):
            solved = self._solved(values, [*rows, *cuts])
            if solved is None:
                return None
            taken, above = solved
            sources = self._table.sources(taken)
            if accept(sources):
                if above > UNSURE:
                    raise SolverGaveUp("its bound and its solution do not meet", f"they are {above / RANGE:.2g} apart")
                return sources
            cuts.append(self._without(taken))
        raise SolverGaveUp(
            f"{CUTS} solutions were over the limit by less than the solver can see", "none was within it"
        )

    def _solved(self, values: Array, rows: Sequence[Row]) -> tuple[list[int], float] | None:
        lowest, rest = self._lowest(values)
        scale = RANGE / max(self._extent(rest), 1e-300)
        upper = np.ones(self.size)
        upper[-1] = np.inf if values is self.excess else 0
        whole = np.zeros(self.size)
        whole[: self.columns] = 1
        left = self._until - time.monotonic()
        if left <= 0:
            raise SolverGaveUp(f"{self._seconds:g} s were over", "nothing was found")
        with _silence():
            result = milp(
                rest * scale, integrality=whole, bounds=Bounds(0, upper), constraints=self._constraints(rows),
                options={"mip_rel_gap": 0.0, "time_limit": left},
            )  # fmt: skip
        if result.status == 2:
            return None
        if result.status != 0 or result.x is None:
            raise SolverGaveUp(self._reason(result.status, str(result.message)), self._best(result, lowest, scale))
        taken = [int(result.x[start:end].argmax()) for start, end in self._spans]
        return taken, self._objective(rest, taken) * scale - result.mip_dual_bound

    def _reason(self, status: int, message: str) -> str:
        return f"{self._seconds:g} s were over" if status == 1 else message

    def _best(self, result: object, lowest: float, scale: float) -> str:
        found, bound = getattr(result, "fun", None), getattr(result, "mip_dual_bound", None)
        if found is None or bound is None:
            return "nothing was found"
        return f"found {lowest + found / scale:.6g}, and nothing is below {lowest + bound / scale:.6g}"

    @property
    def _spans(self) -> list[tuple[int, int]]:
        return list(zip(self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True))

    def _objective(self, values: Array, taken: Sequence[int]) -> float:
        chosen = dict(enumerate(taken))
        total = sum(values[start + column] for (start, _), column in zip(self._spans, taken, strict=True))
        for at, product in enumerate(self._table.products):
            if all(mask[chosen[block]] for block, mask in product.parts):
                total += values[self.columns + at]
        return float(total)

    def _spread(self, parts: Sequence[Array]) -> Array:
        values = np.zeros(self.size)
        if parts:
            values[: self.columns] = np.concatenate(parts)
        return values

    def _lowest(self, values: Array) -> tuple[float, Array]:
        """What every choice has at least, and what each column has beyond its block's least."""
        rest, lowest = values.astype(np.float64), 0.0
        for start, end in self._spans:
            least = float(rest[start:end].min())
            rest[start:end] -= least
            lowest += least
        return lowest, rest

    def _extent(self, values: Array) -> float:
        """How far sums of them can lie apart."""
        blocks = sum(float(values[start:end].max()) for start, end in self._spans)
        return blocks + float(np.abs(values[self.columns :]).sum())

    def _without(self, taken: Sequence[int]) -> Row:
        values = np.zeros(self.size)
        values[[start + column for (start, _), column in zip(self._spans, taken, strict=True)]] = 1
        return Row(values=values, upper=len(taken) - 1)

    def _constraints(self, rows: Sequence[Row]) -> list[LinearConstraint]:
        columns, blocks = np.arange(self.columns), len(self._table.blocks)
        home = np.repeat(np.arange(blocks), np.diff(self._starts))
        one = csr_array((np.ones(self.columns), (home, columns)), shape=(blocks, self.size))
        made = [LinearConstraint(one, 1, 1)]
        rest = [*rows, *self._bans(), *self._products()]
        if rest:
            matrix = vstack([csr_array(row.values.reshape(1, -1)) for row in rest], format="csr")
            made.append(LinearConstraint(matrix, -np.inf, np.array([row.upper for row in rest])))
        return made

    def _bans(self) -> list[Row]:
        return [
            Row(values=sum((self._mask(*part) for part in each.parts), np.zeros(self.size)), upper=len(each.parts) - 1)
            for each in self._table.together
        ]

    def _products(self) -> list[Row]:
        """A product's variable is at least the sum of its factors less all but one, and at most each of them."""
        rows = []
        for at, product in enumerate(self._table.products):
            itself = np.zeros(self.size)
            itself[self.columns + at] = 1
            factors = [self._mask(*part) for part in product.parts]
            if product.nats > 0:
                rows.append(Row(values=sum(factors) - itself, upper=len(factors) - 1))
            else:
                rows += [Row(values=itself - factor, upper=0) for factor in factors]
        return rows

    def _mask(self, block: int, columns: Array) -> Array:
        values = np.zeros(self.size)
        values[self._starts[block] : self._starts[block + 1]] = columns
        return values


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """HiGHS writes lines for its own developers to standard output, whatever is set; documents stand there."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # closed: nothing can be written
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
