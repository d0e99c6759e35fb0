"""Ledger: what was measured, a line each as soon as it is known, so that nothing is lost and nothing measured twice."""

from __future__ import annotations

__all__ = ["Entry", "Ledger"]

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One measured choice, or a whole mixture; ``nats`` is None for a choice that was not followed."""

    change: float
    nats: float | None


class Ledger:
    """Entries by the digest of what was measured. A line that was cut off, or is another's, is passed over."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._torn = False  # the last line has no end
        self._known = dict(self._read())

    def get(self, key: str) -> Entry | None:
        """What is known under a digest."""
        return self._known.get(key)

    def add(self, key: str, entry: Entry) -> None:
        """Keep an entry, on disk too. Raises OSError."""
        self._known[key] = entry
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(("\n" if self._torn else "") + json.dumps([key, entry.change, entry.nats]) + "\n")
        self._torn = False

    def _read(self) -> Iterator[tuple[str, Entry]]:
        try:
            text = self.file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        self._torn = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            with suppress(ValueError, TypeError, RecursionError):
                key, change, nats = json.loads(line)
                yield str(key), Entry(change=float(change), nats=None if nats is None else float(nats))
