"""Telling: a fault of some releases as a finding, with since when, where things are now, and how to mend it."""

from __future__ import annotations

__all__ = ["tell_all"]

from collections.abc import Callable, Sequence
from dataclasses import replace

from mixprec_doctor.codecheck.faults import Fault
from mixprec_doctor.codecheck.folding import Folded, fold
from mixprec_doctor.codecheck.judging import Verdicts
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.codecheck.repairs import Mending, mend
from mixprec_doctor.records.codefinding import CodeFinding
from mixprec_doctor.records.finding import Finding, Remedy

_WRITABLE = frozenset({"MP801", "MP802", "MP805"})  # of imports and of calls
FactsOf = Callable[[int], "ReleaseFacts | None"]


def tell_all(verdicts: Sequence[Verdicts], facts_of: FactsOf, former: ReleaseFacts | None) -> tuple[CodeFinding, ...]:
    """The findings of all faults. Names of one import that all lack their module and have no other home are one."""
    told: list[CodeFinding] = []
    groups: dict[tuple[object, ...], list[tuple[Fault, CodeFinding]]] = {}
    for folded in fold(verdicts):
        fault, finding = folded.fault, tell(folded, verdicts, facts_of, former)
        if finding.repair is None and fault.statement and fault.what == "module":
            place = fault.spot.place
            key = (place.file, place.cell, fault.statement, fault.subject, fault.severity, folded.releases)
            groups.setdefault(key, []).append((fault, finding))
        else:
            told.append(finding)
    return (*told, *map(_together, groups.values()))


def _together(group: Sequence[tuple[Fault, CodeFinding]]) -> CodeFinding:
    first = group[0][1]
    if len(group) == 1:
        return first
    names = [each.wanted.path[0] for each, _ in group if each.wanted is not None and each.wanted.path]
    evidence = tuple(dict.fromkeys(line for _, each in group for line in each.finding.evidence))
    lost = first.finding.summary.partition(", so ")[0]
    remedy = Remedy(text=f"this release of {first.package} defines none of them: use what took their place")
    finding = replace(
        first.finding, summary=f"{lost}, so {', '.join(names)} cannot be imported from it", evidence=evidence,
        remedy=remedy,
    )  # fmt: skip
    return replace(first, finding=finding)


def tell(folded: Folded, verdicts: Sequence[Verdicts], facts_of: FactsOf, former: ReleaseFacts | None) -> CodeFinding:
    """The finding of a fault."""
    fault = folded.fault
    newest = folded.releases[-1]
    facts = facts_of(newest)
    assert facts is not None  # noqa: S101  it has said so
    fine = [facts_of(at) for at in folded.fine if at < folded.releases[0]]
    last_good = fine[-1] if fine else None
    mending = mend(fault, facts, former=last_good or former) if facts is not None else Mending()
    elsewhere = [facts_of(at) for at in (*folded.releases[:-1], *folded.fine)]
    mending = mending.held_against([each for each in elsewhere if each is not None])
    repair = mending.repair
    if repair is not None and fault.code not in _WRITABLE:
        repair = replace(repair, certain=False)  # how a chain reaches its name, only people can rewrite
    evidence = (*fault.evidence, *mending.evidence, *_since(folded, verdicts))
    text = mending.advice or fault.advice
    return CodeFinding(
        finding=Finding(
            code=fault.code, severity=fault.severity, engine=facts.package, summary=fault.summary, cause=fault.cause,
            evidence=tuple(dict.fromkeys(evidence)),
            remedy=Remedy(text=text, commands=mending.commands) if text else None, subjects=(fault.subject,),
        ),
        place=fault.spot.place,
        source=fault.spot.source,
        package=facts.package,
        releases=tuple(verdicts[at].version or "" for at in folded.releases),
        repair=repair,
    )  # fmt: skip


def _since(folded: Folded, verdicts: Sequence[Verdicts]) -> tuple[str, ...]:
    """When it began or ended, where releases on both sides were looked at."""
    first, last = folded.releases[0], folded.releases[-1]
    before = [at for at in folded.fine if at < first]
    after = [at for at in folded.fine if at > last]
    notes = []
    if before:
        notes.append(
            f"so since {verdicts[first].version}; {verdicts[before[-1]].version} is the last in which it holds"
        )
    if after:
        notes.append(f"it holds from {verdicts[after[0]].version} on")
    return tuple(notes)
