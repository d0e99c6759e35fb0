"""MP205: what the code that was asked about imports is a placeholder here."""

from __future__ import annotations

__all__ = ["CHECK"]

import ast
from collections.abc import Iterator

from mixprec_doctor.checks.blame import blame_of
from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.resolving.registry import registered_classes
from mixprec_doctor.source.exports import Found, Standin
from mixprec_doctor.source.lineage import resolve_expression
from mixprec_doctor.usercode import UserCode


def _find(patient: Patient) -> Iterator[Finding]:
    code = patient.code
    if code is None:
        return
    seen: dict[tuple[str, str], tuple[ast.stmt | ast.expr, Standin]] = {}
    for place, standin in _standins(code):
        seen.setdefault((standin.module, standin.name), (place, standin))
    groups: dict[object, list[tuple[ast.stmt | ast.expr, Standin]]] = {}
    for place, standin in seen.values():
        swallowed = code.swallowed(standin.module, standin.name)
        groups.setdefault(swallowed or (standin.module, standin.because), []).append((place, standin))
    for group in groups.values():
        yield _finding(group, code, patient)


def _finding(group: list[tuple[ast.stmt | ast.expr, Standin]], code: UserCode, patient: Patient) -> Finding:
    """One finding for all that one fault turned into placeholders."""
    _, first = group[0]
    package = first.module.partition(".")[0]
    swallowed = code.swallowed(first.module, first.name)
    blame = blame_of(swallowed, code, patient) if swallowed is not None else None
    names = ", ".join(f"{standin.module}.{standin.name}" for _, standin in group)
    texts = ", ".join(dict.fromkeys(standin.text for _, standin in group))
    lines = dict.fromkeys(f"{code.place}, line {place.lineno}: {code.line(place)}" for place, _ in group)
    return Finding(
        code="MP205",
        severity=Severity.ERROR,
        engine=package if patient.engine(package) else None,
        summary=f"{names} {'are placeholders' if len(group) > 1 else 'is a placeholder'} here: {texts}",
        cause=f"{package} says nothing until it is used; "
        + (blame.cause if blame else f"the real one could not be imported: {first.because}"),
        evidence=(*lines, *(blame.evidence if blame else ())),
        remedy=(blame.remedy if blame else None)
        or Remedy(text="install what that import needs, in a version that still has it, or do without"),
        subjects=(first.module, *(blame.subjects if blame else ())),
    )


def _standins(code: UserCode) -> Iterator[tuple[ast.stmt | ast.expr, Standin]]:
    for statement in code.imports():
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            for alias in statement.names:
                origin = code.exports.look_up(statement.module, alias.name)
                if isinstance(origin, Standin):
                    yield statement, origin
    for node in ast.walk(code.parsed.tree):
        if isinstance(node, ast.Attribute):
            meant = resolve_expression(node, code.parsed, code.exports)
            if isinstance(meant, Standin):
                yield node, meant
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            yield from ((node, entry) for entry in _entries(code, node.value, str(node.slice.value)))


def _entries(code: UserCode, table: ast.expr, key: str) -> Iterator[Standin]:
    """Placeholders that a table of a package, such as ``QUANTIZATION_METHODS["gguf"]``, holds under a key."""
    meant = resolve_expression(table, code.parsed, code.exports)
    if isinstance(meant, Found) and isinstance(meant.node, (ast.Assign, ast.AnnAssign)):
        for entry in registered_classes(code.exports, meant.module, key):
            if isinstance(entry.origin, Standin):
                yield entry.origin


CHECK = Check(
    code="MP205",
    title="The code gets a placeholder",
    promise="A name that the code imports is there, but what stands there does not work.",
    explanation=(
        "Only with `--code`. As MP202, for the names of the code that was asked about: an `except ImportError` of the "
        "package put `None`, `Any` or a hollow class in the place of what it could not import."
    ),
    example="`AWQMarlinConfig` from `sglang.srt.layers.quantization` of SGLang 0.4.7 is `DummyConfig` without vLLM.",
    cure="Install what the guarded import needs; `mixprec_doctor.load` raises an error in place of a placeholder.",
    find=_find,
    about_code=True,
    explains=("MP107", "MP108", "MP115"),
)
