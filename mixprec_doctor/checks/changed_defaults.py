"""MP303: a call in the code leaves out an argument whose default a recent release changed."""

from __future__ import annotations

__all__ = ["CHECK"]

import ast
from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.defaultchange import DefaultChange
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.rehearsal import SERVERS
from mixprec_doctor.source.constructors import doubt_about, parameters_of
from mixprec_doctor.source.exports import Found
from mixprec_doctor.source.lineage import resolve_expression
from mixprec_doctor.usercode import UserCode
from mixprec_doctor.usercode.calls import misfit


def _find(patient: Patient) -> Iterator[Finding]:
    code = patient.code
    if code is None or patient.changes is None or code.stop is not None:
        return
    seen: set[tuple[str, str]] = set()
    for call in code.calls():
        found = resolve_expression(call.func, code.parsed, code.exports)
        if not isinstance(found, Found) or (found.module, found.name) in seen:
            continue
        if found.module.partition(".")[0] not in SERVERS or not isinstance(found.node, ast.ClassDef):
            continue
        seen.add((found.module, found.name))
        parameters = parameters_of(found, code.exports)
        left = _left_out(call, parameters)
        if not left or doubt_about(found, code.exports) is not None or misfit(call, parameters):
            continue
        owner = next(iter(patient.environment.owners(found.module.partition(".")[0])), None)
        if owner is None or owner.version is None:
            continue
        changes = patient.changes(found.module, found.name, left, owner.name, owner.version)
        if changes:
            yield _finding(code, call, found, changes, patient)


def _left_out(call: ast.Call, parameters: tuple[Parameter, ...]) -> dict[str, str]:
    """Parameters that the call does not give, and their defaults."""
    if any(isinstance(each, ast.Starred) for each in call.args) or any(word.arg is None for word in call.keywords):
        return {}
    positional = [each.name for each in parameters if each.kind in ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")]
    given = {*positional[: len(call.args)], *(word.arg for word in call.keywords)}
    return {each.name: each.default for each in parameters if each.default is not None and each.name not in given}


def _finding(
    code: UserCode, call: ast.Call, found: Found, changes: tuple[DefaultChange, ...], patient: Patient
) -> Finding:
    package = found.module.partition(".")[0]
    first = changes[0]
    return Finding(
        code="MP303",
        severity=Severity.INFO,
        engine=package if patient.engine(package) else None,
        summary=f"{found.name}(...) leaves out {first.parameter}, whose default is "
        + (f"{first.before} here and {first.now} from" if first.is_ahead else f"{first.now} since")
        + f" {first.since}{' on' if first.is_ahead else ''}"
        + (f", and {len(changes) - 1} more of that kind" if len(changes) > 1 else ""),
        cause="code that was written for another release means the default of that one, and nothing tells it apart",
        evidence=(
            f"{code.place}, line {call.lineno}: {code.line(call)}",
            *(
                f"{each.parameter}: {each.before} up to {package} {each.last}, {each.now} since {each.since}"
                for each in changes
            ),
        ),
        remedy=Remedy(
            text="give it: "
            + ", ".join(f"{each.parameter}={each.before} or {each.now}" for each in changes)
            + ", so that it means the same in every release"
        ),
        subjects=(f"{found.module}.{found.name}",),
    )


CHECK = Check(
    code="MP303",
    title="A default that changed between releases",
    promise="The code leaves an argument to its default, and other releases have another default.",
    explanation=(
        "Only with `--code`, and only where an index can be asked. For each class of an engine that the code "
        "constructs, the same class is read in the sixteen releases before the installed one and in the four after it. "
        "Where a default was or will be another, the same call means something else there, without an error. It is a "
        "note, no fault: the code may well mean the default that is installed."
    ),
    example="`Fp8Config()` of vLLM: `is_checkpoint_fp8_serialized` is `True` since 0.31.0, `False` before.",
    cure="Give the argument instead of leaving it to the default.",
    find=_find,
    about_code=True,
)
