"""MP505: too little shared memory for several GPUs."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_LEAST = 2**30


def _find(patient: Patient) -> Iterator[Finding]:
    machine = patient.machine
    served = [engine for engine in patient.engines if engine.engine != "torch"]
    size = machine.shared_memory[0] if machine.shared_memory else None
    if not served or len(machine.accelerators or ()) < 2 or size is None or size >= _LEAST:
        return
    yield Finding(
        code="MP505",
        severity=Severity.WARNING if patient.code is None else Severity.INFO,
        engine=served[0].engine,
        summary=f"{size // 2**20} MiB of shared memory are little for {len(machine.accelerators or ())} GPUs",
        cause="the processes of one model, and NCCL, exchange data in /dev/shm: they hang or end in a bus error",
        evidence=(f"in a container ({machine.container})",) if machine.container else (),
        remedy=Remedy(text="start the container with more: `docker run --shm-size 16g`, or `--ipc host`"),
        subjects=(served[0].engine,),
    )


CHECK = Check(
    code="MP505",
    title="Too little shared memory for tensor parallelism",
    promise="The machine has several GPUs and less than 1 GiB of shared memory.",
    explanation=(
        "One process serves each GPU, and they exchange messages and tensors through /dev/shm. Docker gives a "
        "container 64 MiB unless told otherwise. With one GPU it does not matter."
    ),
    example="`docker run --gpus all` without `--shm-size`, then `--tensor-parallel-size 2`.",
    cure="`docker run --shm-size 16g` or `--ipc host`; in Kubernetes an emptyDir with `medium: Memory` at /dev/shm.",
    find=_find,
)
