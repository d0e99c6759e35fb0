"""MP212: the code that was asked about fails when it is really run."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.tried import evidence, how_it_ended, subjects
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.probe import Kind, Probe


def _find(patient: Patient) -> Iterator[Finding]:
    for probe in patient.probes:
        if probe.request.kind is Kind.CODE:
            if probe.failed:
                yield _failure(probe, patient)
            elif probe.detail:
                yield Finding(
                    code="MP212",
                    severity=Severity.WARNING,
                    summary=f"the code ran, but {probe.detail}",
                    evidence=tuple(f"it wrote: {line}" for line in (probe.stderr.last_lines if probe.stderr else ())),
                    subjects=_imported(patient),
                )


def _failure(probe: Probe, patient: Patient) -> Finding:
    place = probe.request.file or "<string>"
    frames = [frame for each in (probe.fault.chain if probe.fault else ()) for frame in each.frames] or probe.stack
    own = [frame for frame in frames if frame.file == place]
    line = [f"the code, line {own[0].line}{f': {own[0].text}' if own[0].text else ''}"] if own else []
    return Finding(
        code="MP212",
        severity=Severity.ERROR,
        summary=f"the code fails when it is really run: {how_it_ended(probe)}",
        evidence=(*line, *(each for each in evidence(probe) if not each.startswith(f"at {place}:"))),
        subjects=subjects(probe) or _imported(patient),
    )


def _imported(patient: Patient) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name in patient.code.imported_modules())) if patient.code else ()


CHECK = Check(
    code="MP212",
    title="The code fails when it is run",
    promise="The lines that were asked about were really run by the examined interpreter, and failed.",
    explanation=(
        "Only with `--verify` and `--code`. The lines run as `python -c` would run them, or `python FILE`, in the "
        "working directory and with the environment variables of the command, in a process that is watched and that "
        "is gone afterwards with everything it started. Whatever they do is really done. Where reading has found the "
        "reason, this stands beneath it."
    ),
    example="`from vllm import LLM` ends in an exception that goes back to `libcudart.so.12`.",
    cure="Mend what the last exception of the chain names. With no finding above, reading has not foreseen it.",
    find=_find,
    about_code=True,
)
