"""A child in a session of its own, and the end of everything in that session.

Engines start workers, and workers start helpers; killing the first leaves the rest, with the memory. All of them
stay in the session that the child was started in, so the session is what is ended.
"""

from __future__ import annotations

__all__ = ["EngineProcess"]

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

KILL_GRACE = 5.0  # seconds for the kernel to take the rest away
PR_SET_PDEATHSIG = 1


class EngineProcess:
    """One engine and all its children; output goes to ``log``."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        with log.open("wb") as stream:
            self._child = subprocess.Popen(
                list(words),
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  one prctl call, and no thread holds a lock it needs
            )
        self.pid = self._child.pid

    def code(self) -> int | None:
        """The engine's exit code, None while it runs; killed by signal N gives 128 + N, as a shell has it."""
        code = self._child.poll()
        return None if code is None else (128 - code if code < 0 else code)

    def members(self) -> tuple[int, ...]:
        """Living processes of the engine's session (zombies are not living)."""
        return tuple(pid for pid, session, state in _processes() if session == self.pid and state != "Z")

    def end(self, *, grace: float) -> int:
        """End the engine and whatever it started: ask, wait, then kill. Returns the engine's code."""
        if self.code() is None:
            _signal(self.pid, signal.SIGINT)
            self._wait(grace)
        for number, seconds in ((signal.SIGTERM, grace / 3), (signal.SIGKILL, KILL_GRACE)):
            left = self.members()
            if not left:
                break
            for pid in left:
                _signal(pid, number)
            self._wait(seconds, everyone=True)
        code = self.code()
        return 128 + signal.SIGKILL if code is None else code

    def _wait(self, seconds: float, *, everyone: bool = False) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.code() is not None and not (everyone and self.members()):
                return
            time.sleep(0.05)


def _die_with_parent() -> None:
    """In the child, before it becomes the engine: ask the kernel to end it when the launcher dies, however."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _processes() -> list[tuple[int, int, str]]:
    """``(pid, session, state)`` of every process, from /proc/PID/stat (proc(5): state is field 3, session 6)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        found.append((int(entry.name), int(fields[3]), fields[0]))
    return found
