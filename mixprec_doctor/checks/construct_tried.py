"""MP304: a config cannot be constructed from what a checkpoint of its format says."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.tried import evidence, how_it_ended, subjects
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.probe import Kind, Probe


def _find(patient: Patient) -> Iterator[Finding]:
    for probe in patient.probes:
        request = probe.request
        if probe.failed and request.kind is Kind.CONSTRUCT:
            yield Finding(
                code="MP304",
                severity=Severity.WARNING if patient.machine.accelerators or _misfits(probe) else Severity.INFO,
                engine=request.engine,
                summary=f"{request.role} cannot be constructed: {how_it_ended(probe)}",
                cause=_cause(probe),
                evidence=tuple(evidence(probe)),
                remedy=Remedy(text="leave this format out of the mixture here, or mend what the last exception names"),
                subjects=subjects(probe),
            )


def _misfits(probe: Probe) -> bool:
    """Whether the call itself does not bind: nothing of the engine was entered."""
    return probe.fault is not None and not probe.fault.frames


def _cause(probe: Probe) -> str:
    asked = f"{probe.request} was called with what a small checkpoint of that format says of itself"
    if _misfits(probe):
        return asked
    return f"{asked}; it may want a GPU, or what the engine sets up only when it starts, such as process groups"


CHECK = Check(
    code="MP304",
    title="A config that cannot be constructed",
    promise="A config class was really called with what a checkpoint says, and failed.",
    explanation=(
        "Only with `--verify`. For each format the engine's own config class is called as the engine would call it, "
        "with the quantization_config of a small checkpoint. Some classes refuse a machine without the GPU that their "
        "kernels need, or ask for what the engine sets up only when it starts; so this is only noted, unless there is "
        "a GPU or the call does not even fit the signature."
    ),
    example="`GPTQMarlinConfig.from_config(config)` wants a key that quantizers do not write.",
    cure="Use another format or release; `mixprec resolve --role ROLE` shows what the class takes.",
    find=_find,
)
