"""Following: where a chain of names leads in a release, or at which of them it ends."""

from __future__ import annotations

__all__ = ["Followed", "Lost", "Standing", "follow"]

from dataclasses import dataclass

from mixprec_doctor.codecheck.facts import MemberFact, Presence
from mixprec_doctor.codecheck.needs import Target
from mixprec_doctor.codecheck.release import ReleaseFacts


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What a chain names: ``kind`` is "module", "class", "function", "value" or "member" of the class at ``name``."""

    kind: str
    module: str
    name: str = ""
    member: str = ""
    fact: MemberFact | None = None


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A chain that ends before its last name. ``what`` is "module", "name" or "member"; ``at`` how many names of the
    path were followed, ``module`` the module (or the dotted class) that lacks ``name``."""

    what: str
    module: str
    name: str
    at: int
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A placeholder at the end of the chain."""

    module: str
    name: str
    text: str


def follow(target: Target, facts: ReleaseFacts) -> Followed | Lost | Standing | None:
    """Where a chain leads; None where the source does not decide it."""
    presence = facts.module(target.module)
    if presence is Presence.MISSING:
        return Lost(what="module", module=_shortest_missing(target.module, facts), name="", at=0)
    if presence is not Presence.THERE:
        return None
    module = target.module
    for at, name in enumerate(target.path):
        fact = facts.name(module, name)
        last = at == len(target.path) - 1
        if fact.presence is Presence.MISSING:
            return Lost(what="name", module=module, name=name, at=at, text=fact.text)
        if fact.presence is Presence.PLACEHOLDER:
            return Standing(module=module, name=name, text=fact.text) if last else None
        if fact.presence is not Presence.THERE:
            return None
        if fact.kind == "module":
            module = fact.module
            if not module.startswith(f"{facts.package}.") and module != facts.package:
                return None  # another package, seen through this one
            continue
        if last:
            return Followed(kind=fact.kind, module=fact.module, name=fact.name)
        if fact.kind == "class":
            return _member(fact.module, fact.name, target.path[at + 1 :], at + 1, facts)
        return None
    return Followed(kind="module", module=module)


def _member(module: str, name: str, path: tuple[str, ...], at: int, facts: ReleaseFacts) -> Followed | Lost | None:
    fact = facts.member(module, name, path[0])
    if fact.presence is Presence.MISSING:
        return Lost(what="member", module=f"{module}.{name}", name=path[0], at=at)
    if fact.presence is not Presence.THERE or len(path) > 1:
        return None
    return Followed(kind="member", module=module, name=name, member=path[0], fact=fact)


def _shortest_missing(module: str, facts: ReleaseFacts) -> str:
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return next((name for name in names if facts.module(name) is Presence.MISSING), module)
