"""NVIDIA GPUs, as nvidia-smi lists them."""

from __future__ import annotations

__all__ = ["parse_cuda", "parse_listing", "read_accelerators", "read_cuda", "read_driver"]

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
    answer = _ask(tool, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits")
    return silent if answer is None else parse_listing(answer)


def read_cuda() -> str | None:
    """The newest CUDA that the driver serves, as the head of nvidia-smi's table says."""
    tool = shutil.which("nvidia-smi")
    answer = _ask(tool) if tool is not None else None
    return parse_cuda(answer) if answer is not None else None


def parse_cuda(text: str) -> str | None:
    """The CUDA version in the head of nvidia-smi's table."""
    found = re.search(r"CUDA(?: UMD)? Version\s*:\s*(\d+\.\d+)", text)
    return found[1] if found else None


def _ask(tool: str, *options: str) -> str | None:
    try:
        answer = subprocess.run(
            [tool, *options], capture_output=True, timeout=_ANSWER_LIMIT, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if answer.returncode else answer.stdout.decode(errors="replace")


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
