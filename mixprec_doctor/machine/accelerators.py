"""NVIDIA GPUs, as nvidia-smi lists them."""

from __future__ import annotations

__all__ = ["parse_listing", "read_accelerators", "read_driver"]

import re
import shutil
import subprocess
from pathlib import Path

from mixprec_doctor.records.machine import Accelerator

_QUERY = "name,compute_cap,memory.total,driver_version"
_ANSWER_LIMIT = 10.0  # seconds; the first call after boot can take several
_UNKNOWN = {"", "n/a", "[n/a]", "[not supported]", "[unknown error]"}


def read_accelerators(*, proc: Path = Path("/proc")) -> tuple[Accelerator, ...] | None:
    """The GPUs; empty where there are none, None where the driver is there but its tool does not answer."""
    tool = shutil.which("nvidia-smi")
    silent = None if (proc / "driver" / "nvidia" / "version").exists() else ()
    if tool is None:
        return silent
    try:
        answer = subprocess.run(
            [tool, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"],
            capture_output=True,
            timeout=_ANSWER_LIMIT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return silent
    return silent if answer.returncode else parse_listing(answer.stdout.decode(errors="replace"))


def parse_listing(text: str) -> tuple[Accelerator, ...]:
    """The lines of ``nvidia-smi --query-gpu``: name, compute capability, MiB, driver."""
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 4:
            continue
        known = (None if field.lower() in _UNKNOWN else field for field in fields)
        name, capability, mebibytes, driver = known
        found.append(
            Accelerator(
                name=name or "unknown",
                compute_capability=capability,
                memory_bytes=int(mebibytes) * 2**20 if mebibytes and mebibytes.isdecimal() else None,
                driver=driver,
            )
        )
    return tuple(found)


def read_driver(*, proc: Path = Path("/proc")) -> str | None:
    """The version of the loaded NVIDIA kernel module."""
    try:
        text = (proc / "driver" / "nvidia" / "version").read_text(errors="replace")
    except OSError:
        return None
    version = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text)
    return version[1] if version else None
