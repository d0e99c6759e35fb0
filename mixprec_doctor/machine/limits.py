"""Limits that the system sets: open files, shared memory, memory of a container, the C library."""

from __future__ import annotations

__all__ = ["read_container", "read_libc", "read_memory_limit", "read_open_files", "read_shared_memory"]

import os
import platform
from pathlib import Path

_NO_LIMIT = 2**60  # what cgroups write for none is near to 2**63
_WITHIN = ("kubepods", "docker", "containerd", "lxc", "podman")


def read_open_files() -> tuple[int, int] | None:
    """The soft and the hard limit of file descriptors of this process; -1 where there is none."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    none = resource.RLIM_INFINITY
    return -1 if soft == none else soft, -1 if hard == none else hard


def read_shared_memory(folder: Path = Path("/dev/shm")) -> tuple[int, int] | None:  # noqa: S108  where Linux has it
    """The size of the shared memory and what is free of it, in bytes."""
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):
        return None
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize


def read_memory_limit(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The bytes that a container allows; None for no limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (root / name).read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdecimal() and int(text) < _NO_LIMIT else None
    return None


def read_container(root: Path = Path("/")) -> str | None:
    """What says that this is a container; None when nothing does."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run" / ".containerenv").exists():
        return "podman"
    try:
        text = (root / "proc" / "1" / "cgroup").read_text(errors="replace")
    except OSError:
        return None
    return next((name for name in _WITHIN if name in text), None)


def read_libc() -> str | None:
    """The C library of this machine: ``glibc 2.36`` or ``musl``."""
    name, version = platform.libc_ver()
    if name:
        return f"{name} {version}".strip()
    return "musl" if any(Path("/lib").glob("ld-musl-*")) else None
