"""What can keep a fit from having a solution, or from being sure of it."""

from __future__ import annotations

__all__ = ["NoMixtureFits", "NothingServes", "SolverAbsent", "SolverGaveUp", "UntimedOptions", "refuse_absent"]

from collections.abc import Sequence
from importlib.util import find_spec

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.records.fit import Choice

SHOWN = 5
REMEDIES = {
    "bytes": "a larger budget, a source with fewer bits, or one that has the layers which only large sources have",
    "seconds": "a longer time, or a source with faster kernels",
    "loss": "a larger loss, or a source that loses less",
}
NEEDED = ("numpy", "scipy")


class NoMixtureFits(MixprecError):
    """Not even the cheapest mixture is within what was asked. ``unit`` is "bytes", "seconds" or "loss"."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, wanted: float, smallest: float, unit: str = "bytes", place: str = "for the whole model") -> None:
        super().__init__(wanted, smallest, unit, place)
        self.wanted = wanted
        self.smallest = smallest
        self.unit = unit
        self.place = place

    @property
    def missing(self) -> float:
        """By how much the limit is too low."""
        return self.smallest - self.wanted

    def __str__(self) -> str:
        wanted, smallest, missing = (self._figure(each) for each in (self.wanted, self.smallest, self.missing))
        return (
            f"no mixture of these sources fits: wanted at most {wanted} {self.place}, the least there is {smallest}, "
            f"{missing} more\n  try: {REMEDIES[self.unit]}"
        )

    def _figure(self, amount: float) -> str:
        if self.unit == "seconds":
            return f"{1e6 * amount:,.1f} µs"
        if self.unit == "loss":
            return f"{amount:.6g} nats"
        return f"{amount / 1e6:,.1f} MB" if abs(amount) >= 1e5 else f"{amount:,.0f} bytes"


class NothingServes(MixprecError):
    """All that units could be taken from is forbidden, for these reasons."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, units: Sequence[str], reasons: Sequence[str]) -> None:
        super().__init__(tuple(units), tuple(reasons))
        self.units = tuple(units)
        self.reasons = tuple(reasons)

    def __str__(self) -> str:
        why = "".join(f"\n  {reason}" for reason in self.reasons[:SHOWN]) or "\n  every option has a loss without end"
        return (
            f"wanted a source for {', '.join(self.units[:SHOWN])}; none of them can be served{why}\n"
            "  try: another source that has these layers, or another engine"
        )


class UntimedOptions(MixprecError):
    """Time was wanted as the cost, and kernels of some options were never timed."""

    def __init__(self, options: Sequence[Choice]) -> None:
        super().__init__(tuple(options))
        self.options = tuple(options)

    def __str__(self) -> str:
        lines = "".join(f"\n  {unit} from {source}" for unit, source in self.options[:SHOWN])
        more = len(self.options) - SHOWN
        lines += f"\n  ... and {more} more" if more > 0 else ""
        return (
            f"wanted seconds as the cost; {len(self.options)} options have no timed kernel{lines}\n"
            "  try: mixprec doctor --verify --mix FILE, which times kernels here, or a budget in bytes"
        )


class SolverGaveUp(MixprecError):
    """The solver ended before it had shown that nothing is better. ``found`` says the best it had, in words."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(reason, found)
        self.reason = reason
        self.found = found

    def __str__(self) -> str:
        return (
            f"the best mixture was not found for certain: {self.reason}; {self.found}\n"
            "  try: more time for the solver, fewer sources, or a budget a little larger or smaller"
        )


class SolverAbsent(MixprecError):
    """The libraries that solve are not installed."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, lacks: Sequence[str]) -> None:
        super().__init__(tuple(lacks))
        self.lacks = tuple(lacks)

    def __str__(self) -> str:
        return (
            f"a fit solves an integer programme with scipy; not installed: {', '.join(self.lacks)}\n"
            "  try: python -m pip install 'mixprec[fit]'"
        )


def refuse_absent() -> None:
    """Raises SolverAbsent with what a fit would have to import and cannot."""
    lacks = [name for name in NEEDED if find_spec(name) is None]
    if lacks:
        raise SolverAbsent(lacks)
