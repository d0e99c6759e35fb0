"""Device: what an engine would run on: one of a machine's accelerators, or its CPU."""

from __future__ import annotations

__all__ = ["Device", "device_of"]

from dataclasses import dataclass

from mixprec_doctor.records.machine import Machine


@dataclass(frozen=True, kw_only=True)
class Device:
    """``kind`` is "cuda", "rocm" or "cpu"; None where the build of the engine finds nothing to run on."""

    kind: str | None
    capability: tuple[int, int] | None = None  # None: no GPU, or it did not say
    name: str | None = None
    memory_bytes: int | None = None
    count: int = 0
    architecture: str | None = None
    cpu_flags: frozenset[str] | None = None  # None: not known

    @property
    def number(self) -> int | None:
        """The compute capability as engines write it: 90 for 9.0."""
        return None if self.capability is None else self.capability[0] * 10 + self.capability[1]

    def has_flag(self, *flags: str) -> bool | None:
        """Whether the CPU has all of some features; None where its features are not known."""
        return None if self.cpu_flags is None else set(flags) <= self.cpu_flags


def device_of(machine: Machine, build: str | None) -> Device:
    """What an engine of a build ("cuda", "cpu", "rocm"; None: any) runs on; of several GPUs the oldest counts."""
    gpus = machine.accelerators or ()
    known = sorted((number, gpu.name, gpu) for gpu in gpus if (number := _number(gpu.compute_capability)) is not None)
    first = known[0][2] if known else gpus[0] if gpus else None
    architecture = machine.architecture
    flags = None if machine.cpu_flags is None else frozenset(machine.cpu_flags)
    wanted = build or ("cuda" if gpus else "cpu")
    if wanted == "cpu" or first is None:
        kind = "cpu" if wanted == "cpu" else None
        return Device(kind=kind, architecture=architecture, cpu_flags=flags)
    return Device(
        kind=wanted,
        capability=known[0][0] if known else None,
        name=first.name,
        memory_bytes=first.memory_bytes,
        count=len(gpus),
        architecture=architecture,
        cpu_flags=flags,
    )


def _number(capability: str | None) -> tuple[int, int] | None:
    major, dot, minor = (capability or "").partition(".")
    return (int(major), int(minor)) if dot and major.isdecimal() and minor.isdecimal() else None
