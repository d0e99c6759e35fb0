"""MP509: a driver older than the CUDA that torch was built for."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.builds import torch_build
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    torch, machine = torch_build(patient.environment), patient.machine
    wanted, there = _numbers(torch.cuda if torch else None), _numbers(machine.cuda)
    if torch is None or wanted is None or there is None or not machine.accelerators or wanted <= there:
        return
    other_major = wanted[0] > there[0]
    grave = Severity.ERROR if patient.code is None else Severity.WARNING  # importing works without a GPU too
    yield Finding(
        code="MP509",
        severity=grave if other_major else Severity.INFO,
        engine="torch",
        summary=f"torch {torch.version} is built for CUDA {torch.cuda}, the driver serves CUDA {machine.cuda} at most",
        cause=(
            "the driver is too old for it: torch sees no GPU"
            if other_major
            else "within one major version that works; only kernels that are compiled at run time may be refused"
        ),
        evidence=tuple(
            f"driver {version}" for version in dict.fromkeys((machine.driver, *_drivers(patient))) if version
        ),
        remedy=Remedy(
            text=(
                f"update the driver, install NVIDIA's cuda-compat package for CUDA {wanted[0]} on data centre GPUs, or "
                f"take an engine whose torch is built for CUDA {there[0]}"
            )
        )
        if other_major
        else None,
        subjects=("torch",),
    )


def _drivers(patient: Patient) -> tuple[str | None, ...]:
    return tuple(gpu.driver for gpu in patient.machine.accelerators or ())


def _numbers(version: str | None) -> tuple[int, int] | None:
    major, dot, minor = (version or "").partition(".")
    return (int(major), int(minor)) if dot and major.isdecimal() and minor.isdecimal() else None


CHECK = Check(
    code="MP509",
    title="The driver is older than torch's CUDA",
    promise="The NVIDIA driver does not serve the CUDA version that torch was built for.",
    explanation=(
        "torch states its CUDA version in version.py; the newest CUDA that a driver serves stands in the head of "
        "nvidia-smi's table. A newer major version of torch's does not run at all and is an error; a newer minor "
        "version runs, by NVIDIA's minor version compatibility, and is only noted."
    ),
    example="`The NVIDIA driver on your system is too old` with torch for CUDA 13.0 and a driver for 12.4.",
    cure="Update the driver, use the forward-compatibility package, or an engine with a build for the older CUDA.",
    find=_find,
    explains=("MP501",),
)
