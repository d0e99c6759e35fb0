"""Stopping: how Ctrl-C, SIGTERM and a closed terminal reach a launch, whatever it is doing."""

from __future__ import annotations

__all__ = ["Stop", "heeding_signals"]

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Set by a signal; while something is done that does not look at it, a signal interrupts that too.

    It is no ``threading.Event``: a handler that sets one waits for ever when the signal comes while the main thread
    holds the lock of that event, on its way into or out of ``wait``.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._interrupts = False

    def set(self) -> None:
        """Ask for the end."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._is_set

    def wait(self, seconds: float) -> None:
        """Pause; a signal ends the pause at its end at the latest."""
        if not self._is_set:
            time.sleep(seconds)

    def note(self) -> None:
        """A signal has come."""
        self.set()
        if self._interrupts:
            self._interrupts = False
            raise KeyboardInterrupt

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within it the first signal raises KeyboardInterrupt; so does one that came before."""
        self._interrupts = True
        try:
            if self._is_set:
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupts = False


@contextmanager
def heeding_signals() -> Iterator[Stop]:
    """What Ctrl-C, SIGTERM and a closed terminal set meanwhile; a second signal changes nothing more."""
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        stop.note()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
