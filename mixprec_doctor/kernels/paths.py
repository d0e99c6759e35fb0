"""Paths: what source may do where a condition is not known, each way tried and the outcomes kept apart."""

from __future__ import annotations

__all__ = ["MOST_PATHS", "Outcome", "Paths", "TooLong", "every_path"]

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mixprec_doctor.kernels.values import Raised

MOST_PATHS = 48
_MOST_STEPS = 60_000


class TooLong(Exception):
    """The evaluation was given up: too many steps, or too deep."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One path: what it gave, or the exception it ended in; what was assumed; what it called and imported."""

    value: object = None
    raised: Raised | None = None
    assumed: tuple[tuple[str, bool], ...] = ()
    called: tuple[tuple[str, int, bool], ...] = ()  # operators, how many arguments, and whether nothing was assumed yet
    imported: tuple[str, ...] = ()


@dataclass
class Paths:
    """The answers that are assumed on one path; a question that comes again is answered as before."""

    planned: tuple[bool, ...] = ()
    steps: int = 0
    assumed: dict[str, bool] = field(default_factory=dict)
    called: list[tuple[str, int, bool]] = field(default_factory=list)
    imported: list[str] = field(default_factory=list)

    def assume(self, text: str) -> bool:
        """Whether an open question is taken as a yes on this path."""
        if text not in self.assumed:
            index = len(self.assumed)
            self.assumed[text] = self.planned[index] if index < len(self.planned) else True
        return self.assumed[text]

    def step(self) -> None:
        """Count a step of the evaluation; too many end it."""
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise TooLong


def every_path(work: Callable[[Paths], object], most: int = MOST_PATHS) -> tuple[tuple[Outcome, ...], bool]:
    """The outcome of each path, and whether those are all of them. Paths that part early come first."""
    outcomes: list[Outcome] = []
    waiting: deque[tuple[bool, ...]] = deque([()])
    while waiting and len(outcomes) < most:
        planned = waiting.popleft()
        paths = Paths(planned=planned)
        value: object = None
        raised: Raised | None = None
        try:
            value = work(paths)
        except Raised as fault:
            raised = fault
        except (TooLong, RecursionError):
            return tuple(outcomes), False
        outcomes.append(
            Outcome(
                value=value,
                raised=raised,
                assumed=tuple(paths.assumed.items()),
                called=tuple(paths.called),
                imported=tuple(paths.imported),
            )
        )
        taken = tuple(paths.assumed.values())
        waiting.extend((*taken[:index], False) for index in range(len(planned), len(taken)))
    return tuple(outcomes), not waiting
