"""The engine's log while it is being written."""

from __future__ import annotations

__all__ = ["LogFile"]

import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 20
TOLD = 12  # lines shown when the engine fails
REMEMBERED = 400
CHATTER = re.compile(r"^(\(.*?\) )*(DEBUG|INFO|WARNING) ")
LEVEL = re.compile(r"^(ERROR|CRITICAL) \S+ \S+ \[\S+\] ")
OWN_ERROR = re.compile(r"\bmixprec_\w+(\.\w+)+: ")
PREFIX = re.compile(r"^(\(\w+ pid=\d+\) )+")


class LogFile:
    """Gives the lines that have come since the last look, and remembers the latest."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._at = 0
        self._rest = b""
        self._latest: deque[str] = deque(maxlen=REMEMBERED)

    def new_lines(self) -> Iterator[str]:
        """Whole lines that were added; carriage returns of progress bars end a line too."""
        try:
            with self.file.open("rb") as stream:
                stream.seek(self._at)
                while chunk := stream.read(CHUNK):
                    self._at += len(chunk)
                    *lines, self._rest = re.split(rb"[\r\n]+", self._rest + chunk)
                    for line in lines:
                        text = line.decode(errors="replace").rstrip()
                        if text:
                            self._latest.append(text)
                            yield text
        except FileNotFoundError:
            return

    def telling(self, pattern: re.Pattern[str]) -> tuple[str, ...]:
        """The lines that tell most about a failure, without repeats.

        An error of mixprec's own if there is one, else lines that match, else the last ones.
        """
        for _ in self.new_lines():
            pass
        latest = [*self._latest, self._rest.decode(errors="replace")]  # last words may lack their line's end
        lines = [PREFIX.sub("", line).strip() for line in latest if line.strip() and not CHATTER.search(line)]
        own = list(dict.fromkeys(LEVEL.sub("", line).strip() for line in lines if OWN_ERROR.search(line)))
        if own:
            return tuple(own[:TOLD])
        matching = list(dict.fromkeys(line for line in lines if pattern.search(line)))
        return tuple((matching or lines)[-TOLD:])
