"""A child in a session of its own, and the end of everything in that session.

Engines start workers, and workers start helpers; killing the first leaves the rest, with the memory. All of them
stay in the session that the child was started in, so the session is what is ended: by the launcher, or by the
keeper where the launcher was killed.
"""

from __future__ import annotations

__all__ = ["EngineProcess"]

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixprec_runtime.launching import keeper

PR_SET_PDEATHSIG = 1


class EngineProcess:
    """One engine and all its children; output goes to ``log``. Raises OSError when it cannot be started."""

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
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, str(self.pid), str(keeper.GRACE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            keeper.end_session(self.pid, grace=0)
            self._child.wait()
            raise

    def code(self) -> int | None:
        """The engine's exit code, None while it runs; killed by signal N gives 128 + N, as a shell has it."""
        code = self._child.poll()
        return None if code is None else (128 - code if code < 0 else code)

    def members(self) -> tuple[int, ...]:
        """Living processes of the engine's session (zombies are not living)."""
        return keeper.session_members(self.pid)

    def end(self, *, grace: float) -> int:
        """End the engine and whatever it started: ask, wait, then kill. Returns the engine's code."""
        if self.code() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)
            self._wait(grace)
        keeper.end_session(self.pid, grace=grace / 3)
        self._wait(keeper.KILL_GRACE)
        self._dismiss()
        code = self.code()
        return 128 + signal.SIGKILL if code is None else code

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self.code() is None and time.monotonic() < until:
            time.sleep(0.05)

    def _dismiss(self) -> None:
        """Tell the keeper that its work is done."""
        assert self._keeper.stdin is not None  # noqa: S101  as Popen was told
        with contextlib.suppress(OSError, ValueError):
            self._keeper.stdin.write(keeper.DONE)
            self._keeper.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(keeper.KILL_GRACE)


def _die_with_parent() -> None:
    """In the child, before it becomes the engine: ask the kernel to end it when the launcher dies, however."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
