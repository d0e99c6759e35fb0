"""MP210: an import of an engine raises when it is really tried."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.tried import evidence, how_it_ended, is_essential, subjects
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.probe import Kind, Outcome, Probe, ProbeRequest


def _find(patient: Patient) -> Iterator[Finding]:
    alike: dict[tuple[str | None, str], list[Probe]] = {}
    for each in patient.probes:
        if each.outcome is Outcome.RAISED and each.request.kind in (Kind.IMPORT, Kind.NAME) and each.fault:
            alike.setdefault((each.request.engine, str(each.fault.root)), []).append(each)
    for (engine, _), probes in alike.items():
        yield _finding(engine, probes, patient)


def _finding(engine: str | None, probes: list[Probe], patient: Patient) -> Finding:
    first = probes[0]
    asked = [each.request for each in probes]
    lost = [each for request in asked for each in roles_behind(request.module, request.role, patient)]
    essential = any(map(is_essential, asked)) or any(map(is_essential, lost))
    more = [str(request) for request in asked[1:]]
    return Finding(
        code="MP210",
        severity=Severity.ERROR if essential else Severity.WARNING,
        engine=engine,
        summary=f"{first.request} fails when it is really tried: {how_it_ended(first)}",
        cause=f"without it there is no {', '.join(names)}" if (names := role_names(lost)) else "",
        evidence=(*evidence(first), *([f"fails alike: {', '.join(more)}"] if more else [])),
        remedy=_remedy(first),
        subjects=tuple(dict.fromkeys(subject for each in probes for subject in subjects(each))),
    )


def roles_behind(module: str | None, role: str | None, patient: Patient) -> Iterator[ProbeRequest]:
    """What cannot be had without a module, or the one name of it that was asked for."""
    for each in patient.probes:
        request = each.request
        if (
            request.kind is Kind.NAME
            and request.module
            and (request.role == role if role else f"{request.module}.".startswith(f"{module}."))
        ):
            yield request


def role_names(requests: list[ProbeRequest]) -> list[str]:
    """The roles of some requests, each once."""
    return list(dict.fromkeys(each.role for each in requests if each.role))


def _remedy(probe: Probe) -> Remedy:
    module = probe.request.module
    return Remedy(
        text="read all that this import needs and does not find, with what to install",
        commands=(f"mixprec doctor --code 'import {module}'",),
    )


CHECK = Check(
    code="MP210",
    title="An import of the engine raises when it is tried",
    promise="The engine's own interpreter was asked for something that serving or a format needs, and raised.",
    explanation=(
        "Only with `--verify`. The engine's package and every module and name that mixprec takes from it are imported "
        "by the examined interpreter, in a process of its own. Imports that fail for the same reason are told "
        "once, with the exception that the others go back to. An error where nothing could be served "
        "without it, a warning where it concerns some formats. "
        "Where reading has found the reason, this stands beneath it."
    ),
    example="`import vllm` ends in `ImportError: libcudart.so.12: cannot open shared object file`.",
    cure="Mend what the last exception of the chain names; the traceback's last lines say where it was raised.",
    find=_find,
    explains=("MP212", "MP304"),
)
