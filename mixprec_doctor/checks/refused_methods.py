"""MP215: quantization methods that an engine lists and then refuses."""

from __future__ import annotations

__all__ = ["CHECK"]

import ast
from collections.abc import Iterable, Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.resolution import Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.source.exports import Exports, Found
from mixprec_doctor.usercode.refusals import Refusal, refusal_of


def _find(patient: Patient) -> Iterator[Finding]:
    for engine, roles in patient.roles.items():
        role = next((each for each in roles if each.role is Role.GET_QUANTIZATION_CONFIG), None)
        if role is None or role.status is not Status.FOUND or not role.module or not role.name:
            continue
        found = patient.exports.look_up(role.module, role.name)
        if isinstance(found, Found) and isinstance(found.node, ast.FunctionDef) and found.node.args.args:
            refused = dict(_refused(found, found.node.args.args[0].arg, patient.exports))
            if refused:
                yield _finding(engine, found, refused, patient)


def _refused(found: Found, parameter: str, exports: Exports) -> Iterator[tuple[str, Refusal]]:
    for method in _listed(found, parameter, exports):
        refusal = refusal_of(found, {parameter: method}, exports)
        if refusal is not None:
            yield method, refusal


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


def _finding(engine: str, found: Found, refused: dict[str, Refusal], patient: Patient) -> Finding:
    first = next(iter(refused.values()))
    return Finding(
        code="MP215",
        severity=Severity.INFO,
        engine=engine,
        summary=f"{engine} lists these methods and refuses them here: {', '.join(refused)}",
        cause=f"{found.module}.{found.name} raises {first.exception} for them: {first.message}",
        evidence=tuple(dict.fromkeys(map(_decided, refused.values()))),
        remedy=Remedy(
            text="do without them, or ask with --code about the one that you need: it names the import that fails and "
            "what mends it",
            commands=(
                f"mixprec doctor --python {patient.environment.interpreter.executable or 'EXE'} --code "
                f'"from {found.module} import {found.name}; {found.name}({next(iter(refused))!r})"',
            ),
        ),
        subjects=(engine,),
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
        "name in its table. Only what certainly raises is named."
    ),
    example="SGLang 0.5.3 without vLLM lists `gguf`, `bitsandbytes` and `marlin`, and refuses them.",
    cure="Use another method, or mend the import that the finding of `--code` names.",
    find=_find,
    about_mixprec=True,
)
