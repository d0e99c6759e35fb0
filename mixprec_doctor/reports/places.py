"""Places: the file and line that a piece of evidence names, as far as it names one."""

from __future__ import annotations

__all__ = ["Place", "place_of"]

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_IN_CODE = re.compile(r"(?P<path>[^\n:]{1,400}?), line (?P<line>\d{1,7}): ")
_AT_LINE = re.compile(r"(?<![\w.~/])(?P<path>(?:~|/)[^\s:,;'\"]{1,400}?\.py):(?P<line>\d{1,7})\b")
_FILE = re.compile(r"(?<![\w.~/])(?P<path>(?:~|/)[^\s:,;'\"()]{1,400})")
_NO_FILE = "the code"  # lines that were given on the command line


@dataclass(frozen=True, kw_only=True)
class Place:
    """A file, and a line of it where one is named."""

    path: str
    line: int | None = None

    def below(self, folder: Path) -> str | None:
        """The path as seen from a folder, with forward slashes; None where it lies elsewhere."""
        whole = folder / Path(self.path).expanduser()
        try:
            return whole.relative_to(folder).as_posix() if ".." not in whole.parts else None
        except ValueError:
            return None

    def in_one_of(self, folders: Sequence[str]) -> Place:
        """The same place, whole where its path is relative to one of the folders and not to the working directory."""
        if not Path(self.path).is_absolute() and not self.path.startswith("~") and not Path(self.path).exists():
            for folder in folders:
                if (Path(folder).expanduser() / self.path).exists():
                    return replace(self, path=f"{folder}/{self.path}")
        return self


def place_of(evidence: str) -> Place | None:
    """``job.py, line 3: import x``, ``/env/x.py:7`` or any whole path in the text; the first that is there."""
    if (found := _IN_CODE.match(evidence)) and found["path"] != _NO_FILE:
        return Place(path=found["path"], line=int(found["line"]))
    if found := _AT_LINE.search(evidence):
        return Place(path=found["path"], line=int(found["line"]))
    if found := _FILE.search(evidence):
        path = found["path"].rstrip(".")
        return Place(path=path) if len(Path(path).parts) > 1 else None
    return None
