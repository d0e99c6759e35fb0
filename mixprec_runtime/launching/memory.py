"""The memory report that a launch leaves in its folder, beside log and accounts."""

from __future__ import annotations

__all__ = ["MEMORY_FILE", "is_memory", "latest_memory", "measured_memory", "read_memory"]

import json
from collections.abc import Sequence
from pathlib import Path

from mixprec_runtime.launching.launch import Launch
from mixprec_runtime.planning.memory import memory_report
from mixprec_runtime.planning.uniform import uniform_models
from mixprec_runtime.records.account import LoadAccount
from mixprec_runtime.records.memory import MemoryReport, NothingMeasured

MEMORY_FILE = "memory.json"


def measured_memory(launch: Launch, accounts: Sequence[LoadAccount]) -> MemoryReport:
    """What was planned beside what the ranks say they hold. Raises ForeignAccounts where they are not of this plan."""
    uniform = uniform_models(launch.mix, launch.plan)
    return memory_report(launch.plan, uniform=uniform, accounts=accounts)


def latest_memory(root: Path) -> Path:
    """The folder of the latest launch that left a report below ``root``. Raises NothingMeasured."""
    found = (root / "launches").glob(f"*/{MEMORY_FILE}")
    newest = max(found, key=lambda file: file.stat().st_mtime, default=None)
    if newest is None:
        raise NothingMeasured(str(root / "launches"), "holds no report of a launch", "mixprec memory MIX")
    return newest.parent


def is_memory(file: Path) -> bool:
    """Whether a file is a report, not a mix file, by how it begins."""
    with file.open("rb") as stream:
        return b'"mixprec.memory/' in stream.read(64)


def read_memory(folder: Path) -> MemoryReport:
    """The report that a launch left in its folder (or the file itself). Raises NothingMeasured."""
    file = folder / MEMORY_FILE if folder.is_dir() else folder
    try:
        return MemoryReport.from_json(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        accounts = any(folder.glob("account.rank*.json")) if folder.is_dir() else False
        remedy = f"mixprec memory MIX --measured {folder}" if accounts else "name a mix file or the folder of a launch"
        raise NothingMeasured(str(folder), f"holds no {MEMORY_FILE}", remedy) from None
    except (OSError, ValueError, LookupError, TypeError) as fault:
        raise NothingMeasured(str(file), f"cannot be read: {fault!r}", "mixprec launch MIX writes it anew") from fault
