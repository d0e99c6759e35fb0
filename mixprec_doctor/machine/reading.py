"""CPU, memory and accelerators of this machine."""

from __future__ import annotations

__all__ = ["read_machine"]

import os
import platform
import re
from pathlib import Path

from mixprec_doctor.machine.accelerators import read_accelerators, read_cuda, read_driver
from mixprec_doctor.machine.limits import (
    read_container,
    read_libc,
    read_memory_limit,
    read_open_files,
    read_shared_memory,
)
from mixprec_doctor.machine.tools import find_compiler, find_ninja, find_nvcc
from mixprec_doctor.records.machine import Machine


def read_machine(*, proc: Path = Path("/proc")) -> Machine:
    """The machine that runs this; what cannot be learned is None."""
    cpuinfo = _read(proc / "cpuinfo")
    flags = re.search(r"(?mi)^(?:flags|features)\s*:\s*(.*)$", cpuinfo)
    model = re.search(r"(?mi)^(?:model name|cpu model|hardware)\s*:\s*(.+)$", cpuinfo)
    memory = re.search(r"(?m)^MemTotal:\s*(\d+) kB", _read(proc / "meminfo"))
    accelerators = read_accelerators(proc=proc)
    return Machine(
        system=platform.system() or None,
        architecture=platform.machine() or None,
        cpu=model[1].strip() if model else None,
        cpu_flags=tuple(flags[1].split()) if flags else None,
        cores=_cores(),
        memory_bytes=int(memory[1]) * 1024 if memory else None,
        accelerators=accelerators,
        driver=read_driver(proc=proc),
        cuda=read_cuda() if accelerators else None,
        libc=read_libc(),
        open_files=read_open_files(),
        shared_memory=read_shared_memory(),
        memory_limit=read_memory_limit(),
        container=read_container(),
        nvcc=find_nvcc(),
        compiler=find_compiler(),
        ninja=find_ninja(),
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
