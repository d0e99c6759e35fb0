"""Operators: which of torch's custom operators the compiled libraries of an engine register, read from their bytes.

An extension hands each operator's schema to torch as a string, ``name(Tensor a, ...) -> Tensor``, which stands in the
library as it is. One that is registered without parameters (``name() -> ()``) is a placeholder: every call of it with
arguments is refused.
"""

from __future__ import annotations

__all__ = ["MISSING", "Operators", "Standing"]

import contextlib
import json
import mmap
import os
import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from mixprec_doctor.cache import cache_folder
from mixprec_doctor.files import read_start

MISSING = "operator "
"""How the reason begins of a kernel that would be chosen and cannot be called."""

_LAYOUT = 1  # of the notes: a greater number forgets what was kept
_LARGEST_NOTES = 4 * 2**20
_MOST_HITS = 64


class Standing(str, Enum):
    """How an operator stands in a library."""

    THERE = "there"
    EMPTY = "empty"  # registered, but takes no arguments
    ABSENT = "absent"


class Operators:
    """Answers for some libraries, remembering every answer as long as the library stays the same."""

    def __init__(self, libraries: Iterable[Path], *, folder: Path | None = None) -> None:
        self.libraries = tuple(libraries)
        self._file = (folder or cache_folder()) / "binaries" / f"operators-{_LAYOUT}.json"
        self._notes: dict[str, dict[str, str]] | None = None
        self._stamps: dict[Path, str] = {}
        self._changed = False

    def standing(self, name: str) -> Standing | None:
        """How an operator stands in the best of the libraries; None where there is no library to read."""
        found = [self._in(library, name) for library in self.libraries]
        known = [each for each in found if each is not None]
        return next((each for each in Standing if each in known), None)

    def save(self) -> None:
        """Write what is new; a folder that cannot be written to is left alone."""
        if not self._changed or self._notes is None:
            return
        self._changed = False
        new = self._file.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(self._notes))
            new.replace(self._file)

    def _in(self, library: Path, name: str) -> Standing | None:
        key = self._stamp(library)
        if not key:
            return None
        if self._notes is None:
            self._notes = self._read()
        kept = self._notes.setdefault(key, {})
        if name not in kept:
            try:
                kept[name] = _search(library, name).value
            except (OSError, ValueError):
                return None
            self._changed = True
        try:
            return Standing(kept[name])
        except ValueError:
            return None

    def _stamp(self, library: Path) -> str:
        if library not in self._stamps:
            try:
                facts = library.stat()
                self._stamps[library] = f"{library}:{facts.st_size}:{facts.st_mtime_ns}"
            except OSError:
                self._stamps[library] = ""
        return self._stamps[library]

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            raw = json.loads(read_start(self._file, most=_LARGEST_NOTES) or b"{}")
        except ValueError:
            return {}
        if not isinstance(raw, dict):
            return {}
        return {key: names for key, names in raw.items() if isinstance(names, dict)}


def _search(library: Path, name: str) -> Standing:
    """Look for the operator's schema, or for its bare name where the library registers it without one."""
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        found = Standing.ABSENT
        at, wanted = -1, name.encode()
        for _ in range(_MOST_HITS):
            at = text.find(wanted, at + 1)
            if at < 0:
                break
            before = text[at - 1 : at]
            if before and re.fullmatch(rb"\w", before):
                continue
            after = text[at + len(wanted) : at + len(wanted) + 3]
            if after.startswith(b"()") or after.startswith(b"() "):
                found = Standing.EMPTY
            elif after.startswith((b"(", b".")):
                return Standing.THERE
        return found
