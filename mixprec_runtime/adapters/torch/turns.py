"""Turns: several answers are made at once, a token of each after the other, in the order in which they came.

Two matrix products at a time share a processor's cores badly. And the default generator of random numbers belongs to
all of torch: each answer brings its own state and takes it away again, so that a seed gives one answer in any company.
"""

from __future__ import annotations

__all__ = ["Turn", "Turns"]

import threading
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from typing_extensions import Self


class Turns:
    """Who may use the model; first come, first served."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    def take(self, who: object) -> None:
        """Wait until it is this one's turn."""
        with self._changed:
            self._waiting.append(who)
            self._changed.wait_for(lambda: self._waiting[0] is who)

    def give(self) -> None:
        """Let the next one have its turn."""
        with self._changed:
            self._waiting.popleft()
            self._changed.notify_all()

    @property
    def wanted(self) -> bool:
        """Whether another one waits."""
        with self._changed:
            return len(self._waiting) > 1


class Turn:
    """One answer's use of the model, with random numbers of its own; ``pass_on`` between two tokens."""

    def __init__(self, turns: Turns, seed: int | None) -> None:
        self._turns = turns
        self._generator = torch.Generator()
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)
        self._own = self._generator.get_state()
        self._other = self._own

    def __enter__(self) -> Self:
        self._turns.take(self)
        self._other = torch.get_rng_state()
        torch.set_rng_state(self._own)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own = torch.get_rng_state()
        torch.set_rng_state(self._other)
        self._turns.give()

    def pass_on(self) -> None:
        """Let all others that wait have a turn each, then go on."""
        if self._turns.wanted:
            self.__exit__(None, None, None)
            self.__enter__()
