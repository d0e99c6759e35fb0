"""MP211: an import of an engine ends the process, or never ends."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.import_tried import role_names, roles_behind
from mixprec_doctor.checks.tried import evidence, how_it_ended, is_essential, subjects
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.probe import Kind, Outcome, Probe

_REMEDIES = {
    Outcome.SIGNAL: "the crash is in compiled code: hold the versions of the packages named against each other, and "
    "their builds against this machine",
    Outcome.EXITED: "what it wrote last says why it gave up",
    Outcome.TIMEOUT: "look at what it waits for; if it is only slow, give it more time",
    Outcome.OUT_OF_MEMORY: "end what else uses the memory, or run it where there is more",
}


def _find(patient: Patient) -> Iterator[Finding]:
    for each in patient.probes:
        if each.failed and each.outcome is not Outcome.RAISED and each.request.kind in (Kind.IMPORT, Kind.NAME):
            yield _finding(each, patient)


def _finding(probe: Probe, patient: Patient) -> Finding:
    request = probe.request
    lost = list(roles_behind(request.module, request.role, patient))
    essential = is_essential(request) or any(map(is_essential, lost))
    remedy = _REMEDIES.get(probe.outcome)
    more = (f"mixprec doctor --verify --time-limit {4 * probe.seconds:.0f}",)
    return Finding(
        code="MP211",
        severity=Severity.ERROR if essential else Severity.WARNING,
        engine=request.engine,
        summary=f"{request}: {how_it_ended(probe)}",
        cause=f"without it there is no {', '.join(names)}" if (names := role_names(lost)) else "",
        evidence=tuple(evidence(probe)),
        remedy=Remedy(text=remedy, commands=more if probe.outcome is Outcome.TIMEOUT else ()) if remedy else None,
        subjects=subjects(probe),
    )


CHECK = Check(
    code="MP211",
    title="An import of the engine ends the process, or never ends",
    promise="An import was really tried and did not come back: a crash, an exit, a hang, or no memory left.",
    explanation=(
        "Only with `--verify`. Python cannot catch such an end, so an engine that meets it dies without a traceback. "
        "The process is watched from outside: the signal, the exit code, the time and the memory are known, and for a "
        "crash or a hang the line of Python that it was in."
    ),
    example="`import vllm._C` dies of an illegal instruction: the build wants AVX-512 and the processor has none.",
    cure="Look at the last line of Python before the crash: the compiled module imported or called there is at fault.",
    find=_find,
    explains=("MP212", "MP304"),
)
