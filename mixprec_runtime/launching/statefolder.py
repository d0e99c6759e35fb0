"""The folder of one launch: its engine's log, and what the loading ranks tell."""

from __future__ import annotations

__all__ = ["new_state_folder"]

import os
import shutil
import tempfile
import time
from pathlib import Path

from mixprec_runtime.launching.errors import CannotWrite
from mixprec_runtime.runfolder import STEM

KEPT_LAUNCHES = 5  # folders of earlier launches (log, account) that are kept


def new_state_folder(root: Path, *, name: str) -> Path:
    """A new folder below ``root/launches``; old ones of launches that have ended are taken away. Raises CannotWrite."""
    parent = root / "launches"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        ended = sorted((folder for folder in parent.iterdir() if not _alive(folder)), key=_modified)
        for folder in ended[: -KEPT_LAUNCHES or None]:
            shutil.rmtree(folder, ignore_errors=True)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        return Path(tempfile.mkdtemp(prefix=f"{name[:STEM]}-{stamp}-{os.getpid()}-", dir=parent))
    except OSError as fault:
        raise CannotWrite(parent, fault.strerror or str(fault)) from fault


def _modified(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # another launch has just taken it away
        return 0.0


def _alive(folder: Path) -> bool:
    pid = folder.name.split("-")[-2] if folder.name.count("-") >= 3 else ""
    return pid.isdigit() and Path(f"/proc/{pid}").exists()
