"""Telling: a fault of some releases as a finding, with since when, where things are now, and how to mend it."""

from __future__ import annotations

__all__ = ["tell"]

from collections.abc import Callable, Sequence

from mixprec_doctor.codecheck.folding import Folded
from mixprec_doctor.codecheck.judging import Verdicts
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.codecheck.repairs import Mending, mend
from mixprec_doctor.records.codefinding import CodeFinding
from mixprec_doctor.records.finding import Finding, Remedy

FactsOf = Callable[[int], "ReleaseFacts | None"]


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
        repair=mending.repair,
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
