"""Judging: all that some code needs of a package, held against one release of it."""

from __future__ import annotations

__all__ = ["Verdicts", "judge"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from mixprec_doctor.codecheck.facts import Presence
from mixprec_doctor.codecheck.faults import Fault
from mixprec_doctor.codecheck.following import Followed, follow
from mixprec_doctor.codecheck.lineages import Inherited, Lineages
from mixprec_doctor.codecheck.needs import (
    CallNeed,
    ClassNeed,
    Guard,
    ImportNeed,
    Need,
    PatchNeed,
    Project,
    Target,
    UseNeed,
)
from mixprec_doctor.codecheck.reach import Reach
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.codecheck.rules.calls import Called, called_of, judge_call, judge_shift
from mixprec_doctor.codecheck.rules.chains import judge_chain
from mixprec_doctor.codecheck.rules.missing import judge_import
from mixprec_doctor.codecheck.rules.patches import judge_patch
from mixprec_doctor.codecheck.rules.subclasses import judge_class
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.source.truth import Truth, every
from mixprec_doctor.usercode.calls import Arguments

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
        classes = [each for each in project.needs if isinstance(each, ClassNeed)]
        self._lineages = Lineages(classes, facts, self._reach.chosen)
        self._before = (Lineages(classes, former, self._reach.chosen), former) if former is not None else None

    def verdicts(self) -> Verdicts:
        faults: list[Fault] = []
        met: set[int] = set()
        for number, need in enumerate(self._project.needs):
            if self._reach.reached(need) is Truth.NO:
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
        if isinstance(need, ImportNeed):
            if need.target.package == self._facts.package:
                yield from judge_import(need, self._facts)
        elif isinstance(need, ClassNeed):
            calls = self._project.calls
            yield from judge_class(need, self._lineages, self._reach, self._facts, self._before, calls)
        elif isinstance(need, CallNeed) and need.super_of is not None:
            yield from self._super_call(need)
        elif (target := self._target(need)) is not None:
            if not isinstance(need, CallNeed) and self._is_told(need, target):
                return
            if isinstance(need, UseNeed):
                yield from judge_chain(need, target, _imported(need), self._facts)
            elif isinstance(need, PatchNeed):
                yield from judge_patch(need, target, _imported(need), self._facts, self._former, self._project)
            else:
                yield from self._call(need, target)

    def _is_told(self, need: UseNeed | PatchNeed, target: Target) -> bool:
        """Whether an import of the same file is what lacks the thing: its own finding says so."""
        file, words = need.spot.place.file, f"{target}."
        return any(words.startswith(f"{lost}.") for lost in self._lost_imports.get(file, ()))

    @cached_property
    def _lost_imports(self) -> Mapping[str, list[str]]:
        """What imports ask for in vain, by file."""
        found: dict[str, list[str]] = {}
        for need in self._project.needs:
            if isinstance(need, ImportNeed) and self._faults(need):
                found.setdefault(need.spot.place.file, []).append(str(need.target))
        return found

    def _target(self, need: UseNeed | CallNeed | PatchNeed) -> Target | None:
        chosen = self._reach.chosen(need.of)
        target = chosen.target if chosen is not None else None
        return target if target is not None and target.package == self._facts.package else None

    def _call(self, need: CallNeed, target: Target) -> Iterator[Fault]:
        called = called_of(target, self._facts)
        chosen = self._reach.chosen(need.of)
        if called is None or chosen is None or self._is_replaced(called):
            return
        given = _together(chosen.made, need.arguments)
        yield from judge_call(need, given, called)
        before = called_of(target, self._former) if self._former is not None else None
        if before is not None and chosen.made is None:
            yield from judge_shift(need, given, before, called)

    def _is_replaced(self, called: Called) -> bool:
        """Whether the code puts something of its own in the place of what it calls."""
        if called.fact.swapped and (called.module, called.name) in self._extended:
            return True
        whole = (called.module, called.name, "")
        return whole in self._replaced or (called.module, called.name, called.member) in self._replaced

    @cached_property
    def _replaced(self) -> frozenset[tuple[str, str, str]]:
        """Definitions of the package that the code patches."""
        targets = (
            each.target for need in self._project.needs if isinstance(need, PatchNeed) for each in need.of
            if each.target is not None and each.target.package == self._facts.package
        )  # fmt: skip
        found = (follow(each, self._facts) for each in dict.fromkeys(targets))
        return frozenset((each.module, each.name, each.member) for each in found if isinstance(each, Followed))

    @cached_property
    def _extended(self) -> frozenset[tuple[str, str]]:
        """Classes of the package that classes of the code are built on."""
        classes = (each for each in self._project.needs if isinstance(each, ClassNeed))
        bases = (base for each in classes for base in self._lineages.bases(each)[0])
        return frozenset((each.module, each.name) for each in bases)

    def _super_call(self, need: CallNeed) -> Iterator[Fault]:
        owner = self._lineages.of(need.super_of) if need.super_of is not None else None
        if owner is None or need.member is None:
            return
        called = self._inherited(self._lineages, owner, need.member)
        if isinstance(called, Called):
            yield from judge_call(need, need.arguments, called)
            before = self._inherited(self._before[0], owner, need.member) if self._before is not None else None
            if isinstance(before, Called):
                yield from judge_shift(need, need.arguments, before, called)
        elif called is Presence.MISSING and not owner.is_base:
            yield Fault(
                code="MP804", spot=need.spot, severity=Severity.ERROR, raises="AttributeError",
                subject=f"{owner.name}.{need.member}",
                summary=f"{need.words}: no base of {owner.name} has {need.member}",
            )  # fmt: skip

    def _inherited(self, lineages: Lineages, owner: ClassNeed, member: str) -> Called | Presence | None:
        """What ``super().member`` is; None for a method of the code, and where others may come between."""
        others = [each for each in lineages.own(owner) if each is not owner]
        if any(member in each.others or any(one.name == member for one in each.methods) for each in others):
            return None
        found = lineages.inherited(owner, member)
        if not isinstance(found, Inherited):
            return found
        bases, whole = lineages.bases(owner)
        if found.fact.kind not in ("method", "classmethod", "staticmethod") or not found.fact.call.certain:
            return None
        if not whole and found.base != bases[0]:
            return None
        return Called(module=found.base.module, name=found.base.name, member=member, fact=found.fact.call)

    def _settled(self, need: Need, fault: Fault) -> Fault | None:
        """The fault with the severity that the guards around it leave, and words about them; None: it is taken care
        of."""
        runs = every((self._reach.runs(need.guards), self._reach.runs(self._chosen_guards(need))))
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

    def _chosen_guards(self, need: Need) -> tuple[Guard, ...]:
        """The guards under which the name was bound that a need begins with."""
        if isinstance(need, (UseNeed, CallNeed, PatchNeed)) and need.of:
            chosen = self._reach.chosen(need.of)
            return chosen.guards if chosen is not None else ()
        return ()

    def _undecided(self, need: Need) -> Severity:
        """A note where another branch of the condition imports what is there, else a warning."""
        for guard in (*need.guards, *self._chosen_guards(need)):
            if guard.kind != "if":
                continue
            other = Guard("if", test=guard.test, holds=not guard.holds)
            beside = [
                each for each in self._project.needs
                if not isinstance(each, ClassNeed) and other in each.guards
                and each.spot.place.file == need.spot.place.file
            ]  # fmt: skip
            if any(not self._faults(each) for each in beside):
                return Severity.INFO
        return Severity.WARNING


def _imported(need: UseNeed | PatchNeed) -> int:
    """How many names of a chain came with the import that begins it."""
    written = need.words.count(".")
    length = max((len(each.target.path) for each in need.of if each.target is not None), default=0)
    return max(0, length - written) if isinstance(need, UseNeed) else 0


def _together(made: Arguments | None, given: Arguments) -> Arguments:
    """The arguments of a call of what ``partial`` made."""
    if made is None:
        return given
    return Arguments(
        positional=made.positional + given.positional,
        starred=made.starred or given.starred,
        keywords=(*given.keywords, *(word for word in made.keywords if word not in given.keywords)),
        spread=made.spread or given.spread,
    )
