"""MP304: a config cannot be constructed from what a checkpoint of its format says."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.tried import evidence, how_it_ended, subjects
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.probe import Kind


def _find(patient: Patient) -> Iterator[Finding]:
    for probe in patient.probes:
        request = probe.request
        if probe.failed and request.kind is Kind.CONSTRUCT:
            yield Finding(
                code="MP304",
                severity=Severity.WARNING,
                engine=request.engine,
                summary=f"{request.role} cannot be constructed: {how_it_ended(probe)}",
                cause=f"{request} was called with what a small checkpoint of that format says of itself",
                evidence=tuple(evidence(probe)),
                remedy=Remedy(text="leave this format out of the mixture here, or mend what the last exception names"),
                subjects=subjects(probe),
            )


CHECK = Check(
    code="MP304",
    title="A config that cannot be constructed",
    promise="A config class was really called with what a checkpoint says, and failed.",
    explanation=(
        "Only with `--verify`. For each format the engine's own config class is called as the engine would call it, "
        "with the quantization_config of a small checkpoint. Some classes refuse a machine without the GPU that their "
        "kernels need. Layers of the format cannot be served then; others can."
    ),
    example="`GPTQMarlinConfig.from_config(config)` wants a key that quantizers do not write.",
    cure="Use another format or release; `mixprec resolve --role ROLE` shows what the class takes.",
    find=_find,
)
