"""MP215: quantization methods that an engine lists and then refuses."""

from __future__ import annotations

__all__ = ["CHECK"]

import ast
import re
from collections.abc import Iterable, Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.resolution import Status
from mixprec_doctor.records.role import CONFIG_ROLES, Role
from mixprec_doctor.source.exports import Exports, Found
from mixprec_doctor.usercode.refusals import Refusal, refusal_of

_NAMED = re.compile(r"pip install '?([A-Za-z][\w.-]*==\w[\w.+!-]*)")
_SERVED = frozenset(role.method for role in CONFIG_ROLES)  # what mixprec has kernels of its own for


def _find(patient: Patient) -> Iterator[Finding]:
    for engine, roles in patient.roles.items():
        role = next((each for each in roles if each.role is Role.GET_QUANTIZATION_CONFIG), None)
        if role is None or role.status is not Status.FOUND or not role.module or not role.name:
            continue
        found = patient.exports.look_up(role.module, role.name)
        if isinstance(found, Found) and isinstance(found.node, ast.FunctionDef) and found.node.args.args:
            parameter = found.node.args.args[0].arg
            listed = _listed(found, parameter, patient.exports)
            answers = {each: refusal_of(found, {parameter: each}, patient.exports) for each in listed}
            refused = {method: answer for method, answer in answers.items() if answer is not None}
            if refused:
                given = [each for each in answers if each not in refused]
                yield _finding(engine, found, refused, given, patient)


def _listed(found: Found, parameter: str, exports: Exports) -> Iterable[str]:
    """The methods of the table that the function looks its argument up in first."""
    parsed = exports.sources.module(found.module)
    if parsed is None or not isinstance(found.node, ast.FunctionDef):
        return ()
    for node in ast.walk(parsed.whole(found.node)):
        if not isinstance(node, ast.Compare) or not isinstance(node.left, ast.Name) or node.left.id != parameter:
            continue
        if isinstance(node.ops[0], ast.NotIn):
            table = exports.conditions.value(node.comparators[0], parsed, {})
            return [each for each in table if isinstance(each, str)] if isinstance(table, tuple) else ()
    return ()


def _finding(engine: str, found: Found, refused: dict[str, Refusal], given: list[str], patient: Patient) -> Finding:
    first = next(iter(refused.values()))
    named = _NAMED.search(first.message)
    return Finding(
        code="MP215",
        severity=Severity.INFO,
        engine=engine,
        summary=f"{engine} lists these methods and refuses them here: {', '.join(refused)}",
        cause=f"{found.module}.{found.name} raises {first.exception} for them: {first.message}",
        evidence=(
            f"it gives: {', '.join(given) or 'none'}",
            *dict.fromkeys(map(_decided, refused.values())),
            *_meanwhile(engine, refused),
        ),
        remedy=_installing(named[1], patient) if named else _asking(found, next(iter(refused)), patient),
        subjects=(engine,),
    )


def _meanwhile(engine: str, refused: Iterable[str]) -> Iterator[str]:
    """What becomes of a mixture with layers of such methods."""
    ours = [each for each in refused if each in _SERVED]
    if ours:
        yield f"in a mixture on {engine}, mixprec's portable kernels serve {', '.join(ours)} meanwhile"


def _installing(named: str, patient: Patient) -> Remedy:
    return Remedy(
        text=f"do without them, or install what the engine itself names, {named}; look at what it would move first, as "
        "it may pin other releases of what is here",
        commands=(f"{installer(patient.environment)} install '{named}'",),
    )


def _asking(found: Found, method: str, patient: Patient) -> Remedy:
    return Remedy(
        text="do without them, or ask with --code about the one that you need: it names the import that fails and "
        "what mends it",
        commands=(
            f"mixprec doctor --python {patient.environment.interpreter.executable or 'EXE'} --code "
            f'"from {found.module} import {found.name}; {found.name}({method!r})"',
        ),
    )


def _decided(refusal: Refusal) -> str:
    return f"{refusal.module}, line {refusal.line}: decided by {', '.join(refusal.names) or 'the argument'}"


CHECK = Check(
    code="MP215",
    title="Methods that are listed and refused",
    promise="The engine names quantization methods as supported that its own lookup refuses in this environment.",
    explanation=(
        "An engine's table of methods says little: SGLang up to 0.5.5 keeps entries that work only with vLLM beside "
        "it, and raises when one of them is asked for. The function that answers for a method is worked out for each "
        "name in its table. Only what certainly raises is named. The evidence says which methods it gives, and the "
        "remedy which package the message itself asks for. A mixture needs neither: mixprec's portable kernels "
        "serve GPTQ and AWQ layers where the engine refuses to."
    ),
    example=(
        "SGLang 0.4.7 without vLLM gives `fp8` and `w8a8_int8`, refuses `gptq` and `awq`, and asks for vllm==0.9.0.1."
    ),
    cure="Use another method, install what the message names, or mend the import that the finding of `--code` names.",
    find=_find,
    about_mixprec=True,
)
