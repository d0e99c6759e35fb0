"""The warden: a small process that starts the child, watches it, and ends it with everything it ever started.

It runs as a script of its own, so that it can become the new parent of every orphan below it (a "subreaper", prctl(2)):
whatever the child forks, detaches or puts into another session stays a descendant, and the run is over only when
waitpid says that there is none left. Its standard input is a lifeline: when the process that asked goes away,
however, the end of the file comes, and all are ended. Standard library only.
"""

from __future__ import annotations

__all__ = ["main"]

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PART = 32 * 1024  # of each stream, the first and the last so many bytes are kept
_MOST_ANSWER = 8 * 2**20
_TICK = 0.05
_BETWEEN_LOOKS = 0.2  # at the memory: reading /proc is not free
_LAST_WORDS = 0.5  # for the child to write where it is
_UNTIL_DEAD = 10.0
_PAGE = resource.getpagesize()


class Stream:
    """A pipe that is always emptied: what came first and last is kept, the rest is counted."""

    def __init__(self, pipe: Any) -> None:  # noqa: ANN401
        self.number = pipe.fileno()
        os.set_blocking(self.number, False)
        self.head, self.tail, self.size, self.open = b"", b"", 0, True

    def drain(self) -> None:
        """Take what is there, at most some mebibytes, so that a flood does not keep the warden from watching."""
        for _ in range(64):
            try:
                data = os.read(self.number, 65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.open = False
                return
            self.size += len(data)
            taken = data[: _PART - len(self.head)]
            self.head += taken
            self.tail = (self.tail + data[len(taken) :])[-_PART:]

    def told(self) -> dict[str, object]:
        """The record of it."""
        words = [part.decode("utf-8", "replace") for part in (self.head, self.tail)]
        return {"head": words[0], "tail": words[1], "size": self.size}


class Watch:
    """One child, from its start until nothing of it is left."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._mark = f"{spec['token']} ".encode()
        self._answers = os.open(spec["answers"], os.O_RDONLY)  # held open, should somebody delete the file
        self._rest, self._answered = b"", 0
        self._status: int | None = None
        self._reason: str | None = None
        self._peak = 0
        self._done = False
        self._cancelled = False
        self._began = self._look = time.monotonic()
        self._until = self._began + spec["total"]
        signal.signal(signal.SIGTERM, self._cancel)

    def run(self) -> dict[str, object]:
        """Start, watch, end; the record of how it ended."""
        child = subprocess.Popen(
            self._spec["command"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_prepare,  # noqa: PLW1509  this process has one thread
        )
        self._child = child.pid
        self._streams = (Stream(child.stdout), Stream(child.stderr))
        while self._reason is None and self._status is None:
            self._wait()
            self._hear()
            self._judge()
        if self._reason == "timeout":
            self._ask_where()
        left = end_descendants(self._note)
        self._hear()
        child.returncode = 0  # it was waited for here
        return self._told(left)

    def _cancel(self, *_: object) -> None:
        self._cancelled = True

    def _wait(self) -> None:
        pipes = [stream.number for stream in self._streams if stream.open]
        with contextlib.suppress(InterruptedError):
            ready, _, _ = select.select([0, *pipes], [], [], _TICK)
            if 0 in ready and not os.read(0, 4096):
                self._cancelled = True
        reap(self._note)

    def _note(self, pid: int, status: int) -> None:
        if pid == self._child:
            self._status = status

    def _hear(self) -> None:
        """The answers first, then the streams: what belongs to an answer was written before it."""
        while data := os.read(self._answers, 65536):
            self._answered += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                if line.startswith(self._mark):
                    self._pass_on(line[len(self._mark) :])
            if self._answered > _MOST_ANSWER:
                self._reason = "garbage"
                break
        for stream in self._streams:
            if stream.open:
                stream.drain()

    def _pass_on(self, line: bytes) -> None:
        try:
            answer = json.loads(line)
        except ValueError:
            return
        self._done = self._done or "done" in answer
        self._began = time.monotonic()
        say(answer)

    def _judge(self) -> None:
        now = time.monotonic()
        if self._cancelled:
            self._reason = "cancelled"
        elif self._done:
            if now - self._began > self._spec["ending"]:
                self._reason = "lingering"
        elif now > self._until:
            self._reason = "total"
        elif now - self._began > self._spec["each"]:
            self._reason = "timeout"
        if now - self._look > _BETWEEN_LOOKS:
            self._look = now
            used = resident(descendants())
            self._peak = max(self._peak, used)
            limit = self._spec["memory"]
            if limit and used > limit and unshared(descendants()) > limit:
                self._reason = "memory"

    def _ask_where(self) -> None:
        """The child's faulthandler writes on this signal where every thread is."""
        with contextlib.suppress(OSError):
            os.kill(self._child, signal.SIGRTMAX - 2)
        until = time.monotonic() + _LAST_WORDS
        while time.monotonic() < until:
            time.sleep(_TICK)
            for stream in self._streams:
                stream.drain()

    def _told(self, left: list[int]) -> dict[str, object]:
        status = self._status
        signalled = status is not None and os.WIFSIGNALED(status)
        return {
            "reason": self._reason,
            "code": os.WEXITSTATUS(status) if status is not None and not signalled else None,
            "signal": os.WTERMSIG(status) if status is not None and signalled else None,
            "done": self._done,
            "peak": self._peak or None,
            "stdout": self._streams[0].told(),
            "stderr": self._streams[1].told(),
            "left": left,
        }


def end_descendants(note: Any) -> list[int]:  # noqa: ANN401
    """Kill and reap every descendant; those that are still there after ten seconds (none, or the kernel's)."""
    until = time.monotonic() + _UNTIL_DEAD
    while reap(note):
        found = list(descendants())
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that none forks while others are killed
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        if time.monotonic() > until:
            return sorted(descendants())
        time.sleep(0.01)
    return []


def reap(note: Any) -> bool:  # noqa: ANN401
    """Take away what has ended; whether any child is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        note(pid, status)


def descendants() -> Iterator[int]:
    """Every process below this one, but for those that have ended (proc(5): state is field 3, parent field 4)."""
    below: dict[int, list[int]] = {}
    ended = set()
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:  # noqa: PTH123
                fields = stream.read().rpartition(b")")[2].split()
        except OSError:
            continue
        below.setdefault(int(fields[1]), []).append(int(name))
        if fields[0] in (b"Z", b"X"):
            ended.add(int(name))
    waiting = [os.getpid()]
    while waiting:
        for pid in below.get(waiting.pop(), ()):
            waiting.append(pid)
            if pid not in ended:
                yield pid


def resident(pids: Iterator[int]) -> int:
    """Bytes in memory, those shared with others counted each time."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as stream:  # noqa: PTH123
            total += int(stream.read().split()[1]) * _PAGE
    return total


def unshared(pids: Iterator[int]) -> int:
    """Bytes that belong to them: what is shared is divided among its users, and pages of files do not count."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/smaps_rollup", "rb") as stream:  # noqa: PTH123
            sizes = {line.split(b":")[0]: line.split() for line in stream if line.endswith(b"kB\n")}
            parts: list[bytes] = [name for name in (b"Pss_Anon", b"Pss_Shmem") if name in sizes] or [b"Pss"]
            total += sum(int(sizes[name][1]) * 1024 for name in parts if name in sizes)
    return total


def _read_line() -> bytes:
    """One line of standard input and no byte more: the rest of it is the lifeline."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def say(event: object) -> None:
    """One line to whoever asked; nobody may be there any more."""
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def _prepare() -> None:
    """In the child before it becomes the examined interpreter: no core file, first to go when memory is short."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:  # noqa: PTH123
        stream.write("1000")


def main() -> None:
    """Read what to do as one line of standard input, do it, say how it ended."""
    spec = json.loads(_read_line())
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    end: dict[str, object]
    try:
        end = Watch(spec).run()
    except OSError as fault:
        end = {"fault": str(fault)}
    if end.get("reason") == "cancelled":
        shutil.rmtree(os.path.dirname(spec["answers"]), ignore_errors=True)  # noqa: PTH120  nobody else may be left to do it
    say({"end": end})


if __name__ == "__main__":
    main()
