"""Files by which a loading engine tells its launcher how far it is and what it did.

``$MIXPREC_STATE_DIR/account.rank<N>.json`` is the account of one rank, ``progress.rank<N>`` holds "done total" in
bytes. Without the variable (an engine started by hand) the account lies beside the run folder's own files.
"""

from __future__ import annotations

__all__ = ["STATE_DIR", "ProgressFile", "read_accounts", "read_progress", "state_folder", "write_account"]

import contextlib
import json
import logging
import os
import time
from pathlib import Path

from mixprec_runtime.records.account import LoadAccount

STATE_DIR = "MIXPREC_STATE_DIR"
logger = logging.getLogger("vllm.mixprec")
INTERVAL = 0.1  # seconds between two writes of the progress file


def state_folder(run_folder: Path) -> Path:
    """Where this process writes."""
    named = os.environ.get(STATE_DIR)
    return Path(named) if named else run_folder


def write_account(folder: Path, account: LoadAccount) -> Path | None:
    """Write one rank's account; a reader sees the old file or the new one, never half of it.

    A disk that takes no more is no reason to fail loading: the log says so, and None comes back.
    """
    file = folder / f"account.rank{account.rank}.json"
    try:
        return _replace(file, json.dumps(account.to_json(), indent=1))
    except OSError as fault:
        logger.warning("mixprec: the account %s cannot be written: %s", file, fault.strerror or fault)
        return None


def _replace(file: Path, text: str) -> Path:
    staging = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        staging.write_text(text, encoding="utf-8")
        staging.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            staging.unlink()
        raise
    return file


def read_accounts(folder: Path) -> tuple[LoadAccount, ...]:
    """The accounts of all ranks that have written one, by rank."""
    found = []
    for file in folder.glob("account.rank*.json"):
        found.append(LoadAccount.from_json(json.loads(file.read_text(encoding="utf-8"))))
    return tuple(sorted(found, key=lambda account: account.rank))


class ProgressFile:
    """Counts bytes of one rank and writes them now and then; failing to write is no reason to fail loading."""

    def __init__(self, folder: Path, *, rank: int, total: int) -> None:
        self._file = folder / f"progress.rank{rank}"
        self._total = total
        self._done = 0
        self._written = 0.0

    def add(self, count: int) -> None:
        """Count bytes that have arrived in the model."""
        self._done += count
        now = time.monotonic()
        if now - self._written >= INTERVAL or self._done >= self._total:
            self._written = now
            try:
                _replace(self._file, f"{self._done} {self._total}")
            except OSError:
                self._written = float("inf")


def read_progress(folder: Path) -> tuple[int, int] | None:
    """Bytes done and bytes in all over the ranks; None before loading has begun."""
    done = total = 0
    for file in folder.glob("progress.rank*"):
        try:
            first, second = file.read_text(encoding="utf-8").split()
            done, total = done + int(first), total + int(second)
        except (OSError, ValueError):
            continue
    return (done, total) if total else None
