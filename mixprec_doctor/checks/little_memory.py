"""MP504: too little memory to start any engine."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_LEAST = 4 * 2**30  # an engine's process alone takes two to three GiB before it loads a weight
_GIB = 2**30


def _find(patient: Patient) -> Iterator[Finding]:
    machine = patient.machine
    served = [engine for engine in patient.engines if engine.engine != "torch"]
    amounts = [each for each in (machine.memory_bytes, machine.memory_limit) if each is not None]
    if not served or not amounts or patient.code is not None or min(amounts) >= _LEAST:
        return
    limited = machine.memory_limit is not None and machine.memory_limit == min(amounts)
    yield Finding(
        code="MP504",
        severity=Severity.WARNING,
        engine=served[0].engine,
        summary=f"{min(amounts) / _GIB:.1f} GiB of memory are little for an engine",
        cause=(
            "the container is limited to that; the kernel ends a process that takes more without a word"
            if limited
            else "that is all that this machine has; the kernel ends a process that takes more without a word"
        ),
        remedy=Remedy(text="raise the limit of the container" if limited else "use a machine with more memory"),
        subjects=(served[0].engine,),
    )


CHECK = Check(
    code="MP504",
    title="Too little memory to start",
    promise="The machine, or the container, has less than 4 GiB of memory.",
    explanation=(
        "An engine's processes take two to three GiB before they load a weight. What a model needs beyond that depends "
        "on the model: `mixprec plan` adds it up. The limit of a container is read from its control group."
    ),
    example="`docker run --memory 2g`: the server is killed while it imports, without a traceback.",
    cure="Raise the container's limit or use another machine.",
    find=_find,
)
