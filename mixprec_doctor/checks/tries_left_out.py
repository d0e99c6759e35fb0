"""MP214: the time was used up before everything was tried."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.probe import Outcome


def _find(patient: Patient) -> Iterator[Finding]:
    for engine in dict.fromkeys(each.request.engine for each in patient.probes):
        own = [each for each in patient.probes if each.request.engine == engine]
        late = [each for each in own if each.outcome is Outcome.SKIPPED and "time" in each.detail]
        if late:
            yield Finding(
                code="MP214",
                severity=Severity.WARNING,
                engine=engine,
                summary=f"the time was used up before {len(late)} of {len(own)} things were tried",
                evidence=tuple(str(each.request) for each in late),
                remedy=Remedy(text="give it more time with --time-limit"),
            )


CHECK = Check(
    code="MP214",
    title="Not everything was tried",
    promise="The time limit of the whole verification came before its end.",
    explanation=(
        "Only with `--verify`. Each thing that is tried has the time that `--time-limit` says, and all of an engine "
        "together five times as much. What was not tried any more is neither proven nor refuted."
    ),
    example="Three imports hang for 120 s each, and what comes after them is left out.",
    cure="Mend what hangs first; on a slow disk give more time: `--time-limit 600`.",
    find=_find,
)
