"""CodeAnswer: what would happen to the lines that the user asked about, in one word and the reason for it."""

from __future__ import annotations

__all__ = ["CodeAnswer", "CodeVerdict", "answer_about"]

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.probe import Kind, Outcome, Probe


class CodeVerdict(str, Enum):
    """How it ends. Reading alone can find a fault, but never prove that there is none."""

    FAILS = "fails"
    WORKS = "works"  # it was really run
    UNKNOWN = "unknown"  # nothing found against it


@dataclass(frozen=True, kw_only=True)
class CodeAnswer:
    """The answer to ``--code``."""

    place: str  # "the code", or its file
    verdict: CodeVerdict
    explained_by: str | None = None  # code of the finding that says why

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {"place": self.place, "verdict": self.verdict.value, "explained_by": self.explained_by}


def answer_about(place: str, findings: Iterable[Finding], probes: Iterable[Probe]) -> CodeAnswer:
    """The answer that follows from the findings, and from having run the code where that was done."""
    ran = next((each for each in probes if each.request.kind is Kind.CODE), None)
    grave = next((each for each in findings if each.severity is Severity.ERROR), None)
    explained_by = grave.code if grave is not None else None
    if ran is not None and ran.outcome is Outcome.WORKED:
        return CodeAnswer(place=place, verdict=CodeVerdict.WORKS)
    if grave is not None or (ran is not None and ran.outcome is not Outcome.SKIPPED):
        return CodeAnswer(place=place, verdict=CodeVerdict.FAILS, explained_by=explained_by)
    return CodeAnswer(place=place, verdict=CodeVerdict.UNKNOWN)
