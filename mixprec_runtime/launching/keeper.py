"""The keeper: a small process that ends an engine's session when its launcher is gone, however it went.

The kernel tells the engine's first process that its launcher died, and nobody else; a worker that hangs then stays,
with the memory and the port. The keeper's standard input is a lifeline: a launcher that ends the engine itself says so
on it; when the end of the file comes without a word, the keeper does it. A script of its own, standard library only.
"""

from __future__ import annotations

__all__ = ["end_session", "main", "session_members"]

import os
import signal
import sys
import time

GRACE = 10.0  # seconds that an engine whose launcher died gets to end by itself
KILL_GRACE = 5.0  # ... and the kernel, to take the rest away
DONE = b"."


def main() -> None:
    """Wait for the launcher's word or its end; the arguments are the session's number and its seconds of grace."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.read(0, 1) == DONE:
        return
    session, grace = int(sys.argv[1]), float(sys.argv[2])
    _until_empty(session, grace)
    end_session(session, grace=grace / 3)


def end_session(session: int, *, grace: float) -> None:
    """Ask everyone in the session to end, and kill who is left after ``grace`` seconds."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_GRACE)):
        left = session_members(session)
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        _until_empty(session, seconds)


def session_members(session: int) -> tuple[int, ...]:
    """Living processes of a session (zombies are not living)."""
    return tuple(pid for pid, found, state in _processes() if found == session and state != "Z")


def _until_empty(session: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while session_members(session) and time.monotonic() < until:
        time.sleep(0.05)


def _processes() -> list[tuple[int, int, str]]:
    """``(pid, session, state)`` of every process, from /proc/PID/stat (proc(5): state is field 3, session 6)."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208  pathlib is slow to load, and this process is to be small
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
                text = stream.read()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        found.append((int(name), int(fields[3]), fields[0]))
    return found


if __name__ == "__main__":
    main()
