"""MP206: names that one engine takes from the other and that the installed release of it does not have."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator, Sequence

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.lending import lender_remedy
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.resolving.borrowing import Borrowed, borrowed_names, lacking
from mixprec_doctor.resolving.reach import read_reach
from mixprec_doctor.source.truth import Truth

_PAIRS = (("sglang", "vllm"),)  # who takes from whom; vLLM takes nothing from SGLang
_MOST = 8


def _find(patient: Patient) -> Iterator[Finding]:
    for borrower, lender in _PAIRS:
        if patient.code is not None:
            yield from _of_code(borrower, lender, patient)
        elif patient.engine(borrower) and patient.exports.sources.has_module(lender) is Truth.YES:
            yield from _of_engine(borrower, lender, patient)


def _of_code(borrower: str, lender: str, patient: Patient) -> Iterator[Finding]:
    """What ends the imports of the code; what a try takes shows where it is used (MP205, MP208)."""
    code = patient.code
    stop = code.stop.root if code is not None and code.stop is not None else None
    if code is None or stop is None or stop.asker.partition(".")[0] != borrower:
        return
    if stop.wanted.partition(".")[0] != lender:
        return
    asked = [name for _, name in code.imported_modules() if name.partition(".")[0] == borrower]
    beyond = sorted(read_reach(code.exports.sources, asked).modules) if asked else []  # what would have come next
    way = [*code.rehearsal.entered, *(step.module for step in stop.trail), *beyond]
    modules = [each for each in dict.fromkeys(way) if each.partition(".")[0] == borrower]
    names = [each for each in borrowed_names(code.exports, borrower, lender, among=modules) if each.guard is None]
    if code.exports.sources.has_module(lender) is Truth.NO:
        yield _absent(borrower, lender, names, code.way_to(stop), patient)
    elif gone := lacking(names, code.exports):
        yield _finding(borrower, lender, gone, names, patient, severity=Severity.ERROR)


def _absent(borrower: str, lender: str, names: Sequence[Borrowed], way: tuple[str, ...], patient: Patient) -> Finding:
    ours = _release(borrower, patient)
    return Finding(
        code="MP206",
        severity=Severity.ERROR,
        engine=borrower if patient.engine(borrower) else None,
        summary=f"{ours} takes names from {lender}, which is not installed",
        cause=f"this import asks {lender} for {_count(names)} without a guard, whether or not the metadata of {ours} "
        "requires it",
        evidence=way,
        remedy=lender_remedy(names, lender, patient)
        if names
        else Remedy(text=f"install a release of {lender} of the time of {ours}"),
        subjects=(borrower, lender),
    )


def _of_engine(borrower: str, lender: str, patient: Patient) -> Iterator[Finding]:
    names = borrowed_names(patient.exports, borrower, lender)
    gone = lacking(names, patient.exports)
    certain = [each for each in gone if each.guard is None]
    guarded = [each for each in gone if each.guard is not None]
    if certain:
        wanted = [each for each in names if each.guard is None]
        yield _finding(borrower, lender, certain, wanted, patient, severity=Severity.WARNING)
    tries = {(each.asker, each.guard) for each in guarded}
    wanted = [each for each in names if (each.asker, each.guard) in tries]
    if guarded and any(_takes_part(each, wanted) for each in guarded):
        yield _finding(borrower, lender, guarded, wanted, patient, severity=Severity.WARNING)


def _takes_part(gone: Borrowed, names: Sequence[Borrowed]) -> bool:
    """Whether the failing of one import takes others with it: a try around a single import is meant to fail alone."""
    return sum(each.asker == gone.asker and each.guard == gone.guard for each in names) > 1


def _finding(
    borrower: str,
    lender: str,
    gone: Sequence[Borrowed],
    names: Sequence[Borrowed],
    patient: Patient,
    *,
    severity: Severity,
) -> Finding:
    shown = ", ".join(dict.fromkeys(each.wanted for each in gone[:3])) + (" and more" if len(gone) > 3 else "")
    ours, theirs = _release(borrower, patient), _release(lender, patient)
    tries = {(each.asker, each.guard) for each in gone if each.guard is not None}
    cause = f"{ours} takes {_count(names)} from {lender} there, and {theirs} does not have all of them"
    if tries:
        lost = sum((each.asker, each.guard) in tries for each in names)
        cause += (
            f"; one `try` stands around {lost} of these imports, so all of them are lost, and {borrower} says "
            f"no more than that {lender} is not available"
        )
    return Finding(
        code="MP206",
        severity=severity,
        engine=borrower if patient.engine(borrower) else None,
        summary=f"{theirs} does not have {shown}, which {ours} takes from it",
        cause=cause,
        evidence=tuple(f"{each.asker}, line {each.line}: {each.wanted}" for each in gone[:_MOST]),
        remedy=lender_remedy(names, lender, patient),
        subjects=(borrower, lender, *dict.fromkeys(each.module for each in gone)),
    )


def _count(names: Sequence[Borrowed]) -> str:
    number = len({each.wanted for each in names})
    return "one name" if number == 1 else f"{number} names"


def _release(package: str, patient: Patient) -> str:
    owner = next(iter(patient.environment.owners(package)), None)
    return f"{owner.name} {owner.version}" if owner and owner.version else f"the installed {package}"


CHECK = Check(
    code="MP206",
    title="Names taken from the other engine are gone",
    promise="SGLang imports names from vLLM that the installed vLLM does not have.",
    explanation=(
        "Until 0.5.5 SGLang took quantization classes and operators from vLLM. Its metadata names no upper bound, and "
        "often no vLLM at all, so any release may lie beside it. Every `from vllm... import ...` at the top level of "
        "SGLang's modules is held against the source of the installed vLLM. Where one `try` stands around many "
        "imports, one name that is gone takes all others with it, and SGLang reports only that vLLM is not available, "
        "or asks to install it although it is there. Which releases of vLLM have all of the names is found out by "
        "reading the releases on the index."
    ),
    example=(
        "SGLang 0.4.7 beside vLLM 0.10.1, which dropped `quantization.aqlm`: GPTQ, AWQ, GGUF and eleven other methods "
        "are refused with `requires some operators from vllm`."
    ),
    cure="Install one of the releases of vLLM that the finding names, or a release of SGLang that needs none.",
    find=_find,
    about_code=True,
    explains=("MP202", "MP204", "MP205", "MP208", "MP215"),
)
