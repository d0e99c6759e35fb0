"""MP302: a call in the code that was asked about does not fit the signature that is installed."""

from __future__ import annotations

__all__ = ["CHECK"]

import ast
import difflib
from collections.abc import Iterator
from dataclasses import replace

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.codecheck.members import ignores_unknown
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.records.signature import signature
from mixprec_doctor.source.constructors import doubt_about, parameters_of
from mixprec_doctor.source.exports import Found
from mixprec_doctor.usercode import UserCode
from mixprec_doctor.usercode.calls import Misfit, abbreviates, misfit
from mixprec_doctor.usercode.code import MAIN
from mixprec_doctor.usercode.forwarding import forwarding_of
from mixprec_doctor.usercode.scopes import calls_and_meanings

_LONG = 24  # parameters; beyond it, nobody reads a signature


def _find(patient: Patient) -> Iterator[Finding]:
    code = patient.code
    for call, found in calls_and_meanings(code.parsed, code.exports) if code is not None else ():
        assert code is not None  # noqa: S101  the line above
        if not isinstance(found, Found) or found.module.startswith(MAIN):
            continue
        parameters = parameters_of(found, code.exports)
        if not _is_callable(found, parameters) or doubt_about(found, code.exports) is not None:
            continue  # what is not known for certain is no fault of the call
        wrong = misfit(call, parameters)
        if wrong.unknown and ignores_unknown(found, code.exports):
            wrong = replace(wrong, unknown=())
        if wrong:
            yield _finding(code, call, found, parameters, wrong, patient)
        elif any(each.kind == "VAR_KEYWORD" for each in parameters):
            yield from _handed_on(code, call, found, parameters, patient)


def _handed_on(
    code: UserCode, call: ast.Call, found: Found, parameters: tuple[Parameter, ...], patient: Patient
) -> Iterator[Finding]:
    """What a constructor refuses that gets the further keywords of the one that is called."""
    forwarding = forwarding_of(found, code.exports)
    if forwarding is None:
        return
    own = {each.name for each in parameters if not each.kind.startswith("VAR_")}
    known = {each.name for each in forwarding.parameters} | forwarding.looked_at | own
    given = {word.arg for word in call.keywords if word.arg}
    unknown = tuple(word.arg for word in call.keywords if word.arg and word.arg not in known)
    is_whole = not given & forwarding.looked_at and all(word.arg for word in call.keywords)
    required = (each.name for each in forwarding.parameters if each.required)
    missing = tuple(name for name in required if name not in forwarding.added | given) if is_whole else ()
    wrong = Misfit(unknown=unknown, missing=missing)
    if wrong:
        by_way = f"{found.name} hands its further keywords on to {forwarding.target.name}; "
        taken = tuple(each for each in parameters if not each.kind.startswith("VAR_")) + forwarding.parameters
        yield _finding(code, call, forwarding.target, taken, wrong, patient, called=found.name, by_way=by_way)


def _is_callable(found: Found, parameters: tuple[Parameter, ...]) -> bool:
    """Whether it is a class or function, written as one or made by a call that says what it takes."""
    if found.value is not None:
        return isinstance(found.value, ast.Call) and bool(parameters)
    return isinstance(found.node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))


def _finding(
    code: UserCode,
    call: ast.Call,
    found: Found,
    parameters: tuple[Parameter, ...],
    wrong: Misfit,
    patient: Patient,
    *,
    called: str | None = None,
    by_way: str = "",
) -> Finding:
    package = found.module.partition(".")[0]
    return Finding(
        code="MP302",
        severity=Severity.ERROR,
        engine=package if patient.engine(package) else None,
        summary=f"{called or found.name}(...) does not fit what is installed: {wrong}",
        cause=f"{by_way}the installed {found.module} has {_shown(found, parameters_of(found, code.exports), wrong)}",
        evidence=(f"{code.place}, line {call.lineno}: {code.line(call)}",),
        remedy=Remedy(text=_advice(wrong, parameters)),
    )


def _shown(found: Found, parameters: tuple[Parameter, ...], wrong: Misfit) -> str:
    """The signature; of a long one what is required and what resembles the unknown words."""
    if len(parameters) <= _LONG:
        return signature(found.name, parameters)
    names = [each.name for each in parameters]
    near = {each for word in wrong.unknown for each in difflib.get_close_matches(word, names, n=4, cutoff=0.5)}
    near |= {name for name in names for word in wrong.unknown if abbreviates(name, word) or abbreviates(word, name)}
    shown = tuple(each for each in parameters if each.required or each.name in near)
    text = signature(found.name, shown).removesuffix(")")
    return f"{text}{', ' if shown else ''}and {len(parameters) - len(shown)} more parameters)"


def _advice(wrong: Misfit, parameters: tuple[Parameter, ...]) -> str:
    names = [each.name for each in parameters]
    parts = []
    for unknown in wrong.unknown:
        required = difflib.get_close_matches(unknown, wrong.missing, n=1, cutoff=0.5)
        short = [name for name in names if abbreviates(name, unknown) or abbreviates(unknown, name)]
        near = required or short or difflib.get_close_matches(unknown, names, n=1, cutoff=0.8)
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
        "release, which is read from its source; keywords that a constructor hands on to another one, as `LLM` does to "
        "`EngineArgs`, to the signature of that. Calls of methods of objects are not judged, nor calls of things whose "
        "signature cannot be known for certain."
    ),
    example="`Fp8Config(weight_bits=8)`: no release of SGLang has that parameter.",
    cure="Use the names of the signature shown, or `mixprec_doctor.construct`, which knows what each argument means.",
    find=_find,
    about_code=True,
)
