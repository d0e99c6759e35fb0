"""MP408: compiled kernels without code for the GPU that is there."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator
from pathlib import Path

from mixprec_doctor.binaries.gpucode import read_gpu_code
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.compiled_parts import Part, Weight, compiled_parts
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    gpus = {gpu.compute_capability: gpu.name for gpu in patient.machine.accelerators or () if gpu.compute_capability}
    if not gpus:
        return
    torch, place = patient.environment.find("torch"), locate_package(patient.environment, "torch")
    if torch is not None and place is not None:
        yield from _judge(torch, [place / "lib" / "libtorch_cuda.so"], gpus, severity=Severity.ERROR, engine="torch")
    kernels: dict[str, list[Part]] = {}
    for part in compiled_parts(patient):
        if part.weight is not Weight.OTHER and part.distribution is not torch:
            kernels.setdefault(part.distribution.key, []).append(part)
    for parts in kernels.values():
        yield from _judge(
            parts[0].distribution,
            [part.path for part in parts],
            gpus,
            severity=Severity.ERROR if parts[0].weight is Weight.ENGINE else Severity.WARNING,
            engine=parts[0].engine,
        )


def _judge(
    owner: Distribution, files: list[Path], gpus: dict[str, str], *, severity: Severity, engine: str | None
) -> Iterator[Finding]:
    """One finding for each GPU that none of the files has code for; files without any GPU code say nothing."""
    for capability, name in gpus.items():
        evidence: list[str] = []
        for file in files:
            code = read_gpu_code(file, enough=capability)
            if code is not None and code.runs_on(capability):
                evidence.clear()
                break
            if code is not None:
                evidence.append(f"{file} has code for {code}")
        if evidence:
            yield Finding(
                code="MP408",
                severity=severity,
                engine=engine,
                summary=f"{owner.name} {owner.version} has no code for the {name} (compute capability {capability})",
                cause="its kernels end in `no kernel image is available for execution on the device`",
                evidence=tuple(evidence[:4]),
                remedy=Remedy(
                    text=f"a build of {owner.name} compiled for compute capability {capability}, or another GPU"
                ),
                subjects=owner.packages[:1],
            )


CHECK = Check(
    code="MP408",
    title="No code for this GPU",
    promise="A library of kernels was compiled for other GPUs than the one that is there.",
    explanation=(
        "Libraries carry machine code for some architectures (sm_90 runs on compute capability 9.0), sometimes PTX, "
        "which the driver compiles for newer ones. The architectures are read from the heads in the `.nv_fatbin` "
        "section and compared with the GPUs that nvidia-smi lists. Of a distribution with several libraries it is "
        "enough that one fits."
    ),
    example="torch built for sm_75 and newer on a V100 (compute capability 7.0).",
    cure="A build for that architecture: an older release for old GPUs, a newer one for new GPUs.",
    find=_find,
)
