"""Judging: all that some code needs of a package, held against one release of it."""

from __future__ import annotations

__all__ = ["Verdicts", "judge"]

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mixprec_doctor.codecheck.faults import Fault
from mixprec_doctor.codecheck.needs import ClassNeed, Guard, ImportNeed, Need, Project
from mixprec_doctor.codecheck.reach import Reach
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.codecheck.rules.missing import judge_import
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.source.truth import Truth

_MILDER = {Severity.ERROR: Severity.WARNING, Severity.WARNING: Severity.WARNING, Severity.INFO: Severity.INFO}


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What one release says: its faults, and which needs were looked at and found to be met."""

    distribution: str
    version: str | None
    faults: tuple[Fault, ...] = ()
    met: frozenset[int] = frozenset()  # numbers of needs
    unreadable: str | None = None  # why the release could not be read


def judge(project: Project, facts: ReleaseFacts, *, former: ReleaseFacts | None = None) -> Verdicts:
    """Everything in the code that a release refuses. ``former`` is the release that it was written for."""
    return _Judge(project, facts, former).verdicts()


class _Judge:
    def __init__(self, project: Project, facts: ReleaseFacts, former: ReleaseFacts | None) -> None:
        self._project = project
        self._facts = facts
        self._former = former
        self._found: dict[int, tuple[Fault, ...]] = {}
        self._open: set[int] = set()
        self._reach = Reach(project, facts, self._raised)

    def verdicts(self) -> Verdicts:
        faults: list[Fault] = []
        met: set[int] = set()
        for number, need in enumerate(self._project.needs):
            if self._reach.runs(need.guards) is Truth.NO:
                continue
            found = self._faults(need)
            if not found and self._is_about_package(need):
                met.add(number)
            for each in found:
                if (settled := self._settled(need, each)) is not None:
                    faults.append(replace(settled, need=number))
        return Verdicts(
            distribution=self._facts.distribution, version=self._facts.version, faults=tuple(faults),
            met=frozenset(met),
        )  # fmt: skip

    def _is_about_package(self, need: Need) -> bool:
        if isinstance(need, ImportNeed):
            return need.target.package == self._facts.package
        return not isinstance(need, ClassNeed)

    def _raised(self, need: Need) -> str | None:
        """What an import or a chain raises; for the guards around it."""
        if id(need) in self._open:
            return None
        found = self._faults(need)
        return next((each.raises for each in found if each.raises), None)

    def _faults(self, need: Need) -> tuple[Fault, ...]:
        key = id(need)
        if key not in self._found:
            self._open.add(key)
            try:
                self._found[key] = tuple(self._judged(need))
            finally:
                self._open.discard(key)
        return self._found[key]

    def _judged(self, need: Need) -> Iterator[Fault]:
        if isinstance(need, ImportNeed) and need.target.package == self._facts.package:
            yield from judge_import(need, self._facts)

    def _settled(self, need: Need, fault: Fault) -> Fault | None:
        """The fault with the severity that the guards around it leave, and words about them; None: it is taken care
        of."""
        runs = self._reach.runs(need.guards)
        severity, notes = fault.severity, list(fault.evidence)
        if any(guard.kind == "types" for guard in need.guards):
            severity = _MILDER[severity]
            notes.append("only a type checker sees it")
        if fault.raises:
            if self._reach.goes_on(need.guards, fault.raises):
                return None
            taken = self._reach.fallback(need.guards, fault.raises)
            if taken is not None:
                severity = _MILDER[severity]
                notes.append(f"the try on line {self._reach.line(taken[0])} takes it: its handler is always what runs")
        if runs is Truth.UNKNOWN and severity is not Severity.INFO:
            severity = self._undecided(need)
            notes.append("whether this branch is taken cannot be decided by reading")
        for rung in self._reach.rungs_before(need.guards):
            if isinstance(rung, ImportNeed) and rung is not need:
                notes.append(f"line {rung.spot.place.line} was tried before, in vain: {rung.target}")
        if need.within and fault.raises:
            notes.append(f"it fails when {need.within} is called")
        return replace(fault, severity=severity, evidence=tuple(dict.fromkeys(notes)))

    def _undecided(self, need: Need) -> Severity:
        """A note where another branch of the condition imports what is there, else a warning."""
        for guard in need.guards:
            if guard.kind != "if":
                continue
            other = Guard("if", test=guard.test, holds=not guard.holds)
            beside = [
                each for each in self._project.needs
                if isinstance(each, ImportNeed) and other in each.guards
                and each.spot.place.file == need.spot.place.file
            ]  # fmt: skip
            if any(not self._faults(each) for each in beside):
                return Severity.INFO
        return Severity.WARNING
