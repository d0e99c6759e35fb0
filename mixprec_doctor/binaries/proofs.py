"""Proofs: libraries that were found to load, remembered as long as every file stays what it was.

Only a good verdict is kept, with size and time of each file that it rests on; what cannot be loaded is judged anew each
time. The notes are a small file in the cache folder for each interpreter; where none can be written, nothing is kept.
"""

from __future__ import annotations

__all__ = ["Proofs"]

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from mixprec_doctor.cache import cache_folder
from mixprec_doctor.files import read_start

_LAYOUT = 1  # of the notes, and of the judgement behind them: a greater number forgets what was kept
_LARGEST = 16 * 2**20
_MOST = 5000


class Proofs:
    """What is known to load in one setting: an interpreter, its folders, and what the loader would look into."""

    def __init__(self, setting: Iterable[str], folder: Path | None = None) -> None:
        name = hashlib.sha256("\n".join([str(_LAYOUT), *setting]).encode()).hexdigest()[:24]
        self._file = (folder or cache_folder()) / "binaries" / f"{name}.json"
        self._stamps: dict[str, str] = {}
        self._known = self._read()
        self._changed = False

    def holds(self, name: str) -> bool:
        """Whether it was found to load, and nothing that this rests on has changed since."""
        files = self._known.get(name)
        return files is not None and all(self._stamp(path) == stamp for path, stamp in files.items())

    def keep(self, name: str, files: Iterable[Path]) -> None:
        """Note that it loads, and the files that this rests on."""
        stamps = {str(path): self._stamp(str(path)) for path in files}
        if "" not in stamps.values() and self._known.get(name) != stamps and len(self._known) < _MOST:
            self._known[name] = stamps
            self._changed = True

    def save(self) -> None:
        """Write what is new; a folder that cannot be written to is left alone."""
        if not self._changed:
            return
        self._changed = False
        new = self._file.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(self._known))
            new.replace(self._file)

    def _stamp(self, path: str) -> str:
        if path not in self._stamps:
            try:
                facts = os.stat(path)  # noqa: PTH116  a quarter of the time, and asked for often
                self._stamps[path] = f"{facts.st_size}:{facts.st_mtime_ns}"
            except OSError:
                self._stamps[path] = ""
        return self._stamps[path]

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            raw = json.loads(read_start(self._file, most=_LARGEST) or b"{}")
        except ValueError:
            return {}
        if not isinstance(raw, dict):
            return {}
        return {name: files for name, files in raw.items() if isinstance(files, dict)}
