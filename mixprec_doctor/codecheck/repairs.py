"""Repairs: where a release has what the code looks for elsewhere, and whether that is the same thing without doubt."""

from __future__ import annotations

__all__ = ["Mending", "mend"]

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mixprec_doctor.codecheck.facts import NameFact, Presence
from mixprec_doctor.codecheck.faults import Fault
from mixprec_doctor.codecheck.following import Followed, follow
from mixprec_doctor.codecheck.needs import Target
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.records.codefinding import Repair
from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.resolving.layout import LAYOUTS
from mixprec_doctor.resolving.symbols import within

_MOST = 4
_ALIKE = 0.85


@dataclass(frozen=True, kw_only=True)
class Mending:
    """What can be done about a fault."""

    repair: Repair | None = None
    advice: str = ""
    evidence: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    place: tuple[str, str] | None = None  # module and name that the repair would import
    call: tuple[str, str, str] | None = None  # module, name and member of what gets the renamed keyword

    def held_against(self, others: Iterable[ReleaseFacts]) -> Mending:
        """The same, its repair uncertain where another release of those asked for does not have what it names."""
        if self.repair is None or not self.repair.certain:
            return self
        for facts in others:
            if not self._fits(facts):
                note = f"{facts.version} does not have it so: one line cannot serve all these releases"
                return replace(
                    self, repair=replace(self.repair, certain=False), evidence=(*self.evidence, note)
                )  # fmt: skip
        return self

    def _fits(self, facts: ReleaseFacts) -> bool:
        """Whether the repaired code would be right in a release."""
        if self.call is not None and self.repair is not None:
            return _has_word(self.call, self.repair.new, facts)
        return self.place is None or _is_there(*self.place, facts)


def _has_word(call: tuple[str, str, str], word: str, facts: ReleaseFacts) -> bool:
    return word in {each.name for each in _parameters(call[:2], call[2], facts)}


def mend(fault: Fault, facts: ReleaseFacts, *, former: ReleaseFacts | None) -> Mending:
    """What a release has in place of what is missing. ``former`` is a release in which the code was right."""
    if fault.wanted is not None and fault.what in ("module", "name"):
        return _moved(fault, fault.wanted, facts, former)
    if fault.keyword and fault.called is not None and former is not None:
        return _renamed(fault, fault.called, facts, former)
    return Mending()


def _moved(fault: Fault, wanted: Target, facts: ReleaseFacts, former: ReleaseFacts | None) -> Mending:
    if not wanted.path:
        return _moved_module(wanted, facts)
    name = wanted.path[0] if fault.what == "module" else wanted.path[-1]
    asked = ".".join((wanted.module, *wanted.path[: wanted.path.index(name)]))
    homes = _homes(name, asked, facts)
    if not homes:
        return _nowhere(name, asked, facts)
    best = homes[0]
    then = follow(Target(asked, (name,)), former) if former is not None else None
    old = f"{asked}.{name}"
    certain = len(homes) == 1 and len(wanted.path) == 1 and _is_same(best, name, asked, then, facts, former)
    evidence = tuple(f"{home.module} defines {name}" for home in homes[:_MOST])
    more = f" and {len(homes) - _MOST} more" if len(homes) > _MOST else ""
    return Mending(
        repair=Repair(kind="module", old=old, new=f"{best.module}.{name}", certain=certain),
        advice=f"import it from where this release has it: {', '.join(home.module for home in homes[:_MOST])}{more}",
        evidence=evidence if len(homes) > 1 else (),
        commands=(f"from {best.module} import {name}",),
        place=(best.module, name),
    )


def _renamed(fault: Fault, called: tuple[str, str], facts: ReleaseFacts, former: ReleaseFacts) -> Mending:
    """What a keyword is called now: certain where one parameter went and one came, in one place and otherwise alike."""
    before = _parameters(called, fault.member, former)
    after = fault.parameters
    if fault.keyword not in {each.name for each in before}:
        return Mending()
    gone = [at for at, each in enumerate(before) if each.name not in {one.name for one in after}]
    come = [at for at, each in enumerate(after) if each.name not in {one.name for one in before}]
    if len(gone) != 1 or len(come) != 1:
        return Mending(evidence=(f"{former.version} has {fault.keyword}",))
    old, new = before[gone[0]], after[come[0]]
    alike = (old.kind, old.annotation, old.default) == (new.kind, new.annotation, new.default)
    if gone != come or not alike:
        return Mending(evidence=(f"{former.version} has {old.name}; the only new parameter is {new.name}",))
    return Mending(
        repair=Repair(kind="keyword", old=old.name, new=new.name, certain=True),
        advice=f"call it {new.name}",
        evidence=(f"{former.version} has {old.name} where {new.name} is now",),
        call=(*called, fault.member),
    )


def _parameters(called: tuple[str, str], member: str, facts: ReleaseFacts) -> tuple[Parameter, ...]:
    """The parameters of something in another release, in which it may stand elsewhere."""
    module, name = called
    homes = [module] if _is_there(module, name, facts) else list(facts.definitions_of(name))
    if len(homes) != 1 or not _is_there(homes[0], name, facts):
        return ()
    place = facts.name(homes[0], name)
    if not member or member == "__init__":
        fact = facts.call(place.module, place.name)
        named = tuple(each for each in fact.parameters if not each.kind.startswith("VAR_"))
        return (*named, *fact.handed_on) if fact.handed_to else fact.parameters
    return facts.member(place.module, place.name, member).call.parameters


def _moved_module(wanted: Target, facts: ReleaseFacts) -> Mending:
    last = wanted.module.rpartition(".")[2]
    found = [each for each in facts.modules_called(last) if facts.module(each) is Presence.THERE]
    found = _nearest_first(_core(found, facts), wanted.module)
    if not found:
        return Mending(advice=f"this release of {facts.package} has no other module {last}: use what took its place")
    return Mending(
        repair=Repair(kind="module", old=wanted.module, new=found[0], certain=False),
        advice=f"modules of that last name: {', '.join(found[:_MOST])}",
    )


def _homes(name: str, asked: str, facts: ReleaseFacts) -> list[NameFact]:
    """Where a release defines a name, nearest to where it was asked for first; submodules of that name too."""
    found: list[NameFact] = []
    for module in facts.definitions_of(name):
        if facts.module(module) is not Presence.THERE:
            continue
        fact = facts.name(module, name)
        if fact.presence is Presence.THERE and fact.module == module:
            found.append(fact)
    if not found:
        modules = [each for each in facts.modules_called(name) if facts.module(each) is Presence.THERE]
        found = [
            NameFact(presence=Presence.THERE, kind="module", module=each.rpartition(".")[0], name=name)
            for each in modules
        ]
    core = _core([each.module for each in found], facts)
    order = _nearest_first(core, asked)
    by_module = {each.module: each for each in found}
    return [by_module[each] for each in order]


def _is_same(
    best: NameFact, name: str, asked: str, then: object, facts: ReleaseFacts, former: ReleaseFacts | None
) -> bool:
    """Whether the one definition of that name is what the code means: of the same kind, and where a release is known
    in which the code was right, called alike and not there beside it already; without one, it stayed near by."""
    if best.kind not in ("class", "function"):
        return False
    near = _is_near(best.module, asked)
    if isinstance(then, Followed) and former is not None:
        if then.kind != best.kind or then.name != name:
            return False
        if _is_there(best.module, name, former) and former.name(best.module, name).module != then.module:
            return False  # both were there, and were not the same
        before = {each.name for each in former.call(then.module, then.name).parameters}
        after = {each.name for each in facts.call(best.module, name).parameters}
        return 2 * len(before & after) >= max(len(before), 1) if before or after else near
    return near


def _is_near(home: str, asked: str) -> bool:
    """Whether a module lies below the one asked for, beside it, or deeper in the same package below the top."""
    above = asked.rpartition(".")[0]
    if home.startswith(f"{asked}.") or home.rpartition(".")[0] == above:
        return True
    return "." in above and home.startswith(f"{above}.")


def _nowhere(name: str, asked: str, facts: ReleaseFacts) -> Mending:
    if (heir := facts.successor(name)) is not None:
        module, new = heir
        return Mending(
            repair=Repair(kind="name", old=f"{asked}.{name}", new=f"{module}.{new}", certain=False),
            advice=f"this release of {facts.package} has no {name}; {new} of {module} took its place",
            commands=(f"from {module} import {new} as {name}",),
        )
    near = _alike(name, asked, facts)
    advice = f"this release of {facts.package} defines {name} nowhere: use what took its place"
    if near:
        advice = f"this release of {facts.package} defines {name} nowhere; near in name: {', '.join(near)}"
    return Mending(advice=advice)


def _alike(name: str, asked: str, facts: ReleaseFacts) -> tuple[str, ...]:
    """Names of the module, or of its neighbourhood, that are nearly the same."""
    near = facts.names_near(asked)
    return tuple(difflib.get_close_matches(name, near, n=3, cutoff=_ALIKE))


def _core(modules: Sequence[str], facts: ReleaseFacts) -> list[str]:
    """Those of the serving engine proper, where any is."""
    core = next((each.core for each in LAYOUTS if each.engine == facts.package), (facts.package,))
    return [each for each in modules if within(each, core)] or list(modules)


def _nearest_first(found: Iterable[str], wanted: str) -> list[str]:
    parts = wanted.split(".")

    def apart(module: str) -> tuple[int, int]:
        others = module.split(".")
        leading = next((at for at, (one, other) in enumerate(zip(parts, others, strict=False)) if one != other), None)
        return -(leading if leading is not None else min(len(parts), len(others))), -len(set(parts) & set(others))

    return sorted(found, key=lambda each: (*apart(each), each.count("."), each))


def _is_there(module: str, name: str, facts: ReleaseFacts) -> bool:
    if facts.module(module) is not Presence.THERE:
        return False
    return facts.name(module, name).presence is Presence.THERE
