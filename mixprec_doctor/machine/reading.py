"""CPU, memory and accelerators of this machine."""

from __future__ import annotations

__all__ = ["read_machine"]

import os
import platform
import re
from pathlib import Path

from mixprec_doctor.machine.accelerators import read_accelerators, read_driver
from mixprec_doctor.records.machine import Machine


def read_machine(*, proc: Path = Path("/proc")) -> Machine:
    """The machine that runs this; what cannot be learned is None."""
    cpuinfo = _read(proc / "cpuinfo")
    flags = re.search(r"(?mi)^(?:flags|features)\s*:\s*(.*)$", cpuinfo)
    model = re.search(r"(?mi)^(?:model name|cpu model|hardware)\s*:\s*(.+)$", cpuinfo)
    memory = re.search(r"(?m)^MemTotal:\s*(\d+) kB", _read(proc / "meminfo"))
    return Machine(
        system=platform.system() or None,
        architecture=platform.machine() or None,
        cpu=model[1].strip() if model else None,
        cpu_flags=tuple(flags[1].split()) if flags else None,
        cores=_cores(),
        memory_bytes=int(memory[1]) * 1024 if memory else None,
        accelerators=read_accelerators(proc=proc),
        driver=read_driver(proc=proc),
    )


def _cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
