"""Machine: accelerators and CPU, looked at once."""

from __future__ import annotations

__all__ = ["Accelerator", "Machine", "Tool"]

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One GPU as its driver's own tool describes it; None for what it did not say."""

    name: str
    compute_capability: str | None  # "9.0"
    memory_bytes: int | None
    driver: str | None

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {
            "name": self.name,
            "compute_capability": self.compute_capability,
            "memory_bytes": self.memory_bytes,
            "driver": self.driver,
        }


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program that was found, and the version that it or its files state."""

    path: str
    version: str | None = None

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {"path": self.path, "version": self.version}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine that the doctor runs on. None is unknown; an empty tuple of accelerators is none."""

    system: str | None  # "Linux"
    architecture: str | None  # "x86_64"
    cpu: str | None
    cpu_flags: tuple[str, ...] | None  # as the kernel lists them
    cores: int | None  # those this process may use
    memory_bytes: int | None
    accelerators: tuple[Accelerator, ...] | None  # None: there is one but its tool did not answer
    driver: str | None = None  # version of the NVIDIA kernel module
    cuda: str | None = None  # the newest CUDA that the driver serves, as its own tool says
    libc: str | None = None  # "glibc 2.36"
    open_files: tuple[int, int] | None = None  # soft and hard limit of file descriptors; -1: none
    shared_memory: tuple[int, int] | None = None  # /dev/shm: size and what is free of it, in bytes
    memory_limit: int | None = None  # what a container allows, in bytes; None: no limit is known
    container: str | None = None  # what says that this is one: "docker", "kubernetes", ...
    nvcc: Tool | None = None  # the CUDA compiler
    compiler: str | None = None  # the C++ compiler's path
    ninja: str | None = None

    def to_json(self) -> dict[str, object]:
        """The ``machine`` object of the ``mixprec.report/1`` document."""
        gpus = self.accelerators
        return {
            "system": self.system,
            "architecture": self.architecture,
            "cpu": self.cpu,
            "cpu_flags": None if self.cpu_flags is None else list(self.cpu_flags),
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "accelerators": None if gpus is None else [gpu.to_json() for gpu in gpus],
            "driver": self.driver,
            "cuda": self.cuda,
            "libc": self.libc,
            "open_files": None if self.open_files is None else list(self.open_files),
            "shared_memory": None if self.shared_memory is None else list(self.shared_memory),
            "memory_limit": self.memory_limit,
            "container": self.container,
            "nvcc": self.nvcc.to_json() if self.nvcc else None,
            "compiler": self.compiler,
            "ninja": self.ninja,
        }
