"""MP302: a call in the code that was asked about does not fit the signature that is installed."""

from __future__ import annotations

__all__ = ["CHECK"]

import ast
import difflib
from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.records.signature import signature
from mixprec_doctor.source.constructors import doubt_about, parameters_of
from mixprec_doctor.source.exports import Found
from mixprec_doctor.source.lineage import resolve_expression
from mixprec_doctor.usercode import UserCode
from mixprec_doctor.usercode.calls import Misfit, misfit
from mixprec_doctor.usercode.code import MAIN


def _find(patient: Patient) -> Iterator[Finding]:
    code = patient.code
    for call in code.calls() if code is not None else ():
        assert code is not None  # noqa: S101  the line above
        found = resolve_expression(call.func, code.parsed, code.exports)
        if not isinstance(found, Found) or found.module == MAIN or not _is_callable(found):
            continue
        if doubt_about(found, code.exports) is not None:
            continue  # what is not known for certain is no fault of the call
        parameters = parameters_of(found, code.exports)
        wrong = misfit(call, parameters)
        if wrong:
            yield _finding(code, call, found, parameters, wrong, patient)


def _is_callable(found: Found) -> bool:
    return found.value is None and isinstance(found.node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))


def _finding(
    code: UserCode, call: ast.Call, found: Found, parameters: tuple[Parameter, ...], wrong: Misfit, patient: Patient
) -> Finding:
    package = found.module.partition(".")[0]
    return Finding(
        code="MP302",
        severity=Severity.ERROR,
        engine=package if patient.engine(package) else None,
        summary=f"{found.name}(...) does not fit what is installed: {wrong}",
        cause=f"the installed {found.module} has {signature(found.name, parameters)}",
        evidence=(f"{code.place}, line {call.lineno}: {code.line(call)}",),
        remedy=Remedy(text=_advice(wrong, parameters)),
    )


def _advice(wrong: Misfit, parameters: tuple[Parameter, ...]) -> str:
    names = [each.name for each in parameters]
    parts = []
    for unknown in wrong.unknown:
        required = difflib.get_close_matches(unknown, wrong.missing, n=1, cutoff=0.5)
        near = required or difflib.get_close_matches(unknown, names, n=1, cutoff=0.8)
        parts.append(f"rename {unknown} to {near[0]}" if near else f"leave {unknown} out")
    given = {part.rpartition(" ")[2] for part in parts}
    parts += [f"give {name}" for name in wrong.missing if name not in given]
    parts += [f"give {name} once" for name in wrong.doubled]
    if wrong.surplus:
        parts.append("give the arguments by keyword")
    return ", ".join(parts)


CHECK = Check(
    code="MP302",
    title="A call that the installed signature refuses",
    promise="A call in the code that was asked about would end in a TypeError before the called thing runs.",
    explanation=(
        "Only with `--code`. Calls of imported classes and functions are bound to the signature of the installed "
        "release, which is read from its source. Calls of methods of objects are not judged, nor calls of things whose "
        "signature cannot be known for certain."
    ),
    example="`Fp8Config(weight_bits=8)`: no release of either engine has that parameter.",
    cure="Use the names of the signature shown, or `mixprec_doctor.construct`, which knows what each argument means.",
    find=_find,
    about_code=True,
)
