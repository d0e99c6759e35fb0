"""Scales of a picture's axes: linear, or logarithmic with a place of its own for nothing."""

from __future__ import annotations

__all__ = ["Scale", "log_or_linear", "spread"]

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from mixprec_runtime.reports.svg import steps

WIDE = 30.0  # largest over smallest from which on a scale is logarithmic
LEAST = 1e-15  # what is smaller is nothing
DECADES = 6  # that a logarithmic scale has at most; what is smaller stands with nothing
FEWEST = 3  # marks, with which powers of ten alone are enough
SHELF = 16.0  # below the smallest decade, for nothing


@dataclass(frozen=True, kw_only=True)
class Scale:
    """From values to places between ``start`` (of ``low``) and ``end`` (of ``high``)."""

    low: float
    high: float
    start: float
    end: float
    marks: tuple[float, ...]
    log: bool = False
    nothing: float | None = None  # the place of zero on a logarithmic scale

    def at(self, value: float) -> float:
        """Where a value stands; values beyond an end stand at it, and so does what is no number at the upper one."""
        if not isfinite(value):
            return self.end
        if self.log:
            if value < self.low:
                return self.nothing if self.nothing is not None else self.start
            share = (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        else:
            share = (value - self.low) / ((self.high - self.low) or 1)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


def log_or_linear(values: Iterable[float], *, start: float, end: float) -> Scale:
    """A scale from nothing upwards for values of which some are many times others; ``end`` is above ``start``."""
    known = [value for value in values if isfinite(value)]
    positive = [value for value in known if value > LEAST]
    if not positive or max(positive) < WIDE * min(positive):
        marks = steps(max(positive, default=0.0))
        low = min(0.0, *known) if known else 0.0
        return Scale(low=low, high=marks[-1], start=start, end=end, marks=marks)
    top = ceil(log10(max(positive)) - 1e-9)
    bottom = max(floor(log10(min(positive)) + 1e-9), top - DECADES)
    high = next(each * 10.0 ** (top - 1) for each in (1, 2, 5, 10) if each * 10.0 ** (top - 1) >= max(positive) * 0.999)
    below = [each * 10.0**power for power in (bottom, bottom + 1) for each in (1, 2, 5)]
    low = max((each for each in below if each <= min(positive) * 1.001), default=10.0**bottom)
    tens = [10.0**power for power in range(bottom, top + 1)]
    few = sum(low * 0.999 <= each <= high * 1.001 for each in tens) < FEWEST
    marks = tuple(each * ten for ten in tens for each in ((1, 2, 5) if few else (1,)))
    small = any(value < low for value in known)
    shelf = (SHELF if start > end else -SHELF) if small else 0.0
    return Scale(
        low=low, high=max(high, 10 * low), start=start - shelf, end=end, log=True,
        marks=tuple(mark for mark in marks if low * 0.999 <= mark <= high * 1.001), nothing=start if small else None,
    )  # fmt: skip


def spread(values: Iterable[float], *, start: float, end: float, wanted: int = 6) -> Scale:
    """A linear scale around values that need not begin at zero, with marks that people can read."""
    known = list(values)
    low, high = min(known), max(known)
    step = steps(high - low if high > low else max(abs(high), 1.0), wanted=wanted)[1]
    first, last = floor(low / step), max(ceil(high / step), floor(low / step) + 1)
    marks = tuple(at * step for at in range(first, last + 1))
    return Scale(low=marks[0], high=marks[-1], start=start, end=end, marks=marks)
