"""Blame: why a ``try`` of an engine failed without a word, and what to install so that it does not."""

from __future__ import annotations

__all__ = ["Blame", "blame_of"]

from dataclasses import dataclass

from mixprec_doctor.checks.check import Patient
from mixprec_doctor.checks.lending import beside_of, lender_remedy
from mixprec_doctor.records.finding import Remedy
from mixprec_doctor.records.need import Need
from mixprec_doctor.rehearsal import SERVERS, StopKind, Swallowed
from mixprec_doctor.resolving.borrowing import Borrowed, borrowed_names
from mixprec_doctor.resolving.providers import cure
from mixprec_doctor.usercode import UserCode

_MOST = 6


@dataclass(frozen=True, kw_only=True)
class Blame:
    """The cause behind a fault that was swallowed, in words, with what shows it and what mends it."""

    cause: str
    evidence: tuple[str, ...]
    remedy: Remedy | None
    subjects: tuple[str, ...]


def blame_of(swallowed: Swallowed, code: UserCode, patient: Patient) -> Blame:
    """What the swallowed fault really is: a name that is gone, a package that lacks its own requirements, ..."""
    root = swallowed.stop.root
    borrower = swallowed.module.partition(".")[0]
    trail = tuple(
        f"{step.path or step.module}, line {step.line}: {step.statement}"
        for step in root.trail[-_MOST:]
        if step.line and step.path and step.module != "__main__"
    )
    subjects = (swallowed.module, root.wanted)
    lender = next((name for name in _taken_from(swallowed) if name in SERVERS and name != borrower), None)
    names = _names(swallowed, borrower, lender, code) if lender else ()
    if lender and root.wanted.partition(".")[0] == lender and names:
        remedy = lender_remedy(names, lender, patient)
        return Blame(cause=_words(swallowed), evidence=trail, remedy=remedy, subjects=subjects)
    needs = _needs(names, code) if names else ()
    command = cure(needs, patient.environment)
    pinned = {name for name, _ in beside_of(borrower, patient)} if lender else set()
    if names and lender and any(_names_one_of(need, pinned) for need in needs):
        # The lender wants another version of what the borrower pins: only another lender suits both.
        remedy = lender_remedy(names, lender, patient)
        return Blame(cause=_words(swallowed), evidence=trail, remedy=remedy, subjects=subjects)
    remedy = (
        Remedy(text="install all that is not there, at once", commands=(command,))
        if command
        else Remedy(text=f"make `import {root.wanted}` work there, or do without what depends on it")
    )
    shown = tuple(str(need) for need in needs[:_MOST])
    return Blame(cause=_words(swallowed), evidence=(*trail, *shown), remedy=remedy, subjects=subjects)


def _taken_from(swallowed: Swallowed) -> list[str]:
    """The packages that the stop went through on its way, from the try inwards."""
    modules = [step.module for step in swallowed.stop.root.trail]
    inner = modules[modules.index(swallowed.module) :] if swallowed.module in modules else modules
    return [each.partition(".")[0] for each in (*inner, swallowed.stop.root.wanted)]


def _names(swallowed: Swallowed, borrower: str, lender: str, code: UserCode) -> tuple[Borrowed, ...]:
    found = borrowed_names(code.exports, borrower, lender, among=(swallowed.module,))
    return tuple(each for each in found if each.guard == swallowed.first)


def _needs(names: tuple[Borrowed, ...], code: UserCode) -> tuple[Need, ...]:
    needs: dict[str, Need] = {}
    for module in dict.fromkeys(each.module for each in names):
        for need in code.missing(module):
            needs.setdefault(need.import_name, need)
    return tuple(needs.values())


def _names_one_of(need: Need, pinned: set[str]) -> bool:
    return need.distribution is not None and any(need.distribution.startswith(name) for name in pinned)


def _words(swallowed: Swallowed) -> str:
    root = swallowed.stop.root
    what = {
        StopKind.ABSENT: f"{root.wanted.partition('.')[0]} is not installed",
        StopKind.NO_MODULE: f"there is no module {root.wanted} in what is installed",
        StopKind.NO_NAME: f"{root.wanted} does not exist in what is installed",
        StopKind.CIRCULAR: f"{root.wanted} is asked for in a circle of imports",
        StopKind.LIBRARY: f"{root.wanted} cannot be loaded: {root.text}",
        StopKind.RAISED: f"{root.asker} raises {root.text}",
    }[root.kind]
    where = f"{swallowed.module}, line {swallowed.failed}"
    far = f" (asked for by {root.asker})" if root.asker not in (swallowed.module, "") else ""
    return f"an `except` in {where} takes the real fault without a word: {what}{far}"
