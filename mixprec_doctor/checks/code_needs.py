"""MP204: what the imports of the code that was asked about need and the environment lacks, all at once."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.need import Need
from mixprec_doctor.records.resolution import How
from mixprec_doctor.rehearsal import SERVERS
from mixprec_doctor.resolving.providers import cure
from mixprec_doctor.source.exports import Found
from mixprec_doctor.source.lineage import resolve_expression
from mixprec_doctor.source.truth import Truth
from mixprec_doctor.usercode import UserCode


def _find(patient: Patient) -> Iterator[Finding]:
    code = patient.code
    if code is None:
        return
    absent = list(_absent(code))
    needs: dict[str, Need] = {}
    for _, module in code.imported_modules():
        for need in code.missing(module) if module.partition(".")[0] not in absent else ():
            if not _is_borrowed(need, code):
                needs.setdefault(need.import_name, need)
    late: dict[str, Need] = {}
    for module in _used_lazily(code):
        for need in code.missing(module):
            if need.import_name not in needs:
                late.setdefault(need.import_name, need)
    if absent:
        yield _of_absent(absent, patient)
    if needs:
        yield _of_needs(list(needs.values()), patient, summary="importing this needs {names}: not there")
    if late:
        summary = "the import works, but its first use needs {names}: not there"
        yield _of_needs(list(late.values()), patient, summary=summary)


def _is_borrowed(need: Need, code: UserCode) -> bool:
    """A name that one engine misses in the other, which is there: MP206 says which releases have it."""
    asker = need.chain[-1].module.partition(".")[0] if need.chain else ""
    lender = need.import_name.partition(".")[0]
    both = asker != lender and {asker, lender} <= SERVERS
    return both and code.exports.sources.has_module(lender) is Truth.YES


def _absent(code: UserCode) -> Iterator[str]:
    """Top-level packages of the code itself that are not installed."""
    tops = dict.fromkeys(module.partition(".")[0] for _, module in code.imported_modules())
    yield from (top for top in tops if code.exports.sources.has_module(top) is Truth.NO)


def _used_lazily(code: UserCode) -> Iterator[str]:
    """Modules behind lazy names that the code calls: they are imported only then."""
    seen: set[str] = set()
    for call in code.calls():
        found = resolve_expression(call.func, code.parsed, code.exports)
        if isinstance(found, Found) and found.how is How.LAZY and found.module not in seen:
            seen.add(found.module)
            yield found.module


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
    )


def _of_needs(needs: list[Need], patient: Patient, *, summary: str) -> Finding:
    names = ", ".join(need.import_name for need in needs)
    command = cure(needs, patient.environment)
    engine = needs[0].chain[0].module.partition(".")[0] if needs[0].chain else None
    return Finding(
        code="MP204",
        severity=Severity.ERROR,
        engine=engine if engine and patient.engine(engine) else None,
        summary=summary.format(names=names),
        cause="Python would name them one at a time, in this order",
        evidence=tuple(str(need) for need in needs),
        remedy=Remedy(text="install all of them at once", commands=(command,)) if command else None,
    )


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
)
