"""MP204: what the imports of the code that was asked about need and the environment lacks, all at once."""

from __future__ import annotations

__all__ = ["CHECK"]

import ast
from collections.abc import Iterator
from dataclasses import replace

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.need import ABSENT, Need
from mixprec_doctor.records.resolution import How
from mixprec_doctor.rehearsal import SERVERS, Stop, StopKind
from mixprec_doctor.resolving.providers import cure
from mixprec_doctor.source.exports import Found
from mixprec_doctor.source.lineage import resolve_expression
from mixprec_doctor.source.truth import Truth
from mixprec_doctor.usercode import UserCode
from mixprec_doctor.usercode.code import MAIN
from mixprec_doctor.usercode.moved import homes_of_module

_MISSES = (StopKind.ABSENT, StopKind.NO_MODULE, StopKind.NO_NAME, StopKind.LIBRARY)


def _find(patient: Patient) -> Iterator[Finding]:
    code = patient.code
    if code is None:
        return
    absent = list(_absent(code))
    needs = _needs(code, absent) if code.stop is not None else {}
    late: dict[str, Need] = {}
    for module in _used_lazily(code):
        for need in code.missing(module):
            if need.import_name not in needs:
                late.setdefault(need.import_name, need)
    if absent:
        yield _of_absent(absent, patient)
    if needs:
        yield _of_needs(list(needs.values()), patient, code, summary="importing this needs {names}: not there")
    elif not absent and code.stop is not None and code.stop.root.kind in _MISSES and not _is_elsewhere(code):
        yield _of_stop(code.stop.root, code, patient)
    if late:
        summary = "the import works, but its first use needs {names}: not there"
        yield _of_needs(list(late.values()), patient, code, summary=summary)


def _needs(code: UserCode, absent: list[str]) -> dict[str, Need]:
    """All that the imports of the code miss; the rehearsal ends at the first of them."""
    needs: dict[str, Need] = {}
    trail = code.stop.root.trail if code.stop is not None else ()
    lazily = [step.module for step in trail[1:2]]  # what stands behind a lazy name is not in the code
    for module in dict.fromkeys([*(name for _, name in code.imported_modules()), *lazily]):
        for need in code.missing(module) if module.partition(".")[0] not in absent else ():
            if not _is_borrowed(need.chain[-1].module if need.chain else "", need.import_name, code):
                needs.setdefault(need.import_name, need)
    return needs


def _is_elsewhere(code: UserCode) -> bool:
    """Whether another check speaks of how the imports of the code end: one of its own lines, or the other engine."""
    stop = code.stop.root if code.stop is not None else None
    return stop is None or stop.asker == MAIN or _is_borrowed(stop.asker, stop.wanted, code)


def _of_stop(stop: Stop, code: UserCode, patient: Patient) -> Finding:
    package = stop.asker.partition(".")[0]
    return Finding(
        code="MP204",
        severity=Severity.ERROR,
        engine=package if patient.engine(package) else None,
        summary=f"importing this ends in {stop.exception}: {stop.text}",
        cause=f"{stop.asker} asks for {stop.wanted}, which "
        + (
            "is there and cannot be loaded"
            if stop.kind is StopKind.LIBRARY
            else f"the installed {stop.wanted.partition('.')[0]} does not have"
        ),
        evidence=code.way_to(stop),
        remedy=Remedy(text=f"install a release of {stop.wanted.partition('.')[0]} that {package} was made for"),
        subjects=(stop.asker, stop.wanted),
    )


def _is_borrowed(asker: str, wanted: str, code: UserCode) -> bool:
    """What one engine misses of the other: MP206 says which releases have it."""
    borrower, lender = asker.partition(".")[0], wanted.partition(".")[0]
    both = borrower != lender and {borrower, lender} <= SERVERS
    ends_it = code.stop is not None and code.stop.root.wanted.partition(".")[0] == lender
    return both and (ends_it or code.exports.sources.has_module(lender) is Truth.YES)


def _absent(code: UserCode) -> Iterator[str]:
    """Top-level packages of the code itself that are not installed."""
    tops = dict.fromkeys(module.partition(".")[0] for _, module in code.imported_modules())
    yield from (top for top in tops if code.exports.sources.has_module(top) is Truth.NO)


def _used_lazily(code: UserCode) -> Iterator[str]:
    """Modules that only a call of the code brings in: behind lazy names, and in the body of an engine's function."""
    seen: set[str] = set()
    for call in code.calls():
        found = resolve_expression(call.func, code.parsed, code.exports)
        if not isinstance(found, Found):
            continue
        for module in [found.module] if found.how is How.LAZY else _imported_by(found, code):
            if module not in seen:
                seen.add(module)
                yield module


def _imported_by(found: Found, code: UserCode) -> Iterator[str]:
    """What a function of an engine certainly imports when it is called: the imports that its body begins with."""
    parsed = code.exports.sources.module(found.module)
    if parsed is None or not isinstance(found.node, ast.FunctionDef) or found.module.partition(".")[0] not in SERVERS:
        return
    for statement in parsed.whole(found.node).body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield from filter(None, (parsed.absolute(statement),))
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            return


def _of_absent(absent: list[str], patient: Patient) -> Finding:
    names = ", ".join(absent)
    return Finding(
        code="MP204",
        severity=Severity.ERROR,
        summary=f"{names}: not installed",
        cause="the code imports it, and no folder of the environment has it",
        remedy=Remedy(
            text="install the distribution that provides it; its name need not be that of the import",
            commands=(f"{installer(patient.environment)} install {' '.join(absent)}",),
        ),
        subjects=tuple(absent),
    )


def _of_needs(needs: list[Need], patient: Patient, code: UserCode, *, summary: str) -> Finding:
    names = ", ".join(need.import_name for need in needs)
    needs = [replace(need, distribution=None) if _is_lent(need) else need for need in needs]
    guessed = [need.import_name.partition(".")[0] for need in needs if _is_unnamed(need)]
    command = cure(
        [
            replace(need, distribution=need.import_name.partition(".")[0]) if _is_unnamed(need) else need
            for need in needs
        ],
        patient.environment,
    )
    text = "install all of them at once"
    if guessed:
        text += f"; no metadata here names what holds {', '.join(guessed)}: a distribution of that name is taken"
    if any(_is_lent(need) for need in needs):
        text += "; asked again after that, the doctor says which release of the other engine has what is taken from it"
    engine = needs[0].chain[0].module.partition(".")[0] if needs[0].chain else None
    return Finding(
        code="MP204",
        severity=Severity.ERROR,
        engine=engine if engine and patient.engine(engine) else None,
        summary=summary.format(names=names),
        cause="Python would name them one at a time, in this order",
        evidence=tuple(str(need) for need in needs),
        remedy=Remedy(text=text, commands=(command,)) if command else _moved(needs, code),
        subjects=tuple(dict.fromkeys([*(each.import_name for each in needs), *_askers(needs)])),
    )


def _is_lent(need: Need) -> bool:
    """Something of the other engine: the release that its metadata names may be one for other hardware."""
    asker = need.chain[-1].module.partition(".")[0] if need.chain else ""
    lender = need.import_name.partition(".")[0]
    return asker != lender and {asker, lender} <= SERVERS


def _is_unnamed(need: Need) -> bool:
    """A package that is not there at all, and whose distribution nothing names; of an engine MP206 speaks."""
    return need.reason == ABSENT and need.distribution is None and need.import_name.partition(".")[0] not in SERVERS


def _moved(needs: list[Need], code: UserCode) -> Remedy | None:
    """Where the installed release has modules that are asked for at another place."""
    homes = {
        need.import_name: found
        for need in needs
        if need.import_name.partition(".")[0] in SERVERS
        and (found := homes_of_module(need.import_name, (), code.exports))
    }
    parts = [f"{name} is now {found[0]}" for name, found in homes.items()]
    return Remedy(text=f"change the import: {'; '.join(parts)}") if parts else None


def _askers(needs: list[Need]) -> Iterator[str]:
    """The packages whose modules ask in vain."""
    yield from (step.module.partition(".")[0] for need in needs for step in need.chain[-1:])


CHECK = Check(
    code="MP204",
    title="What an import needs is not there",
    promise="The code that was asked about imports something whose own imports the environment cannot answer.",
    explanation=(
        "Only with `--code`. The import statements are followed through the installed packages as far as they run at "
        "import time, and everything that is missing is named at once, with the statement that asks for it and the "
        "requirement of the package's own metadata. A lazy name (`from sglang import Engine`) is imported on its first "
        "use: what that needs is told apart."
    ),
    example="`import sglang` after `pip install --no-deps sglang==0.4.7` needs numpy, tqdm, requests and more.",
    cure="Run the one command that the finding shows.",
    find=_find,
    about_code=True,
    explains=("MP107", "MP108", "MP115"),
)
