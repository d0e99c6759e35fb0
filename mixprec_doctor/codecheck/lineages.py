"""Lineages: what a class of the code inherits from classes of a package, in one release."""

from __future__ import annotations

__all__ = ["Inherited", "Lineages"]

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from mixprec_doctor.codecheck.facts import MemberFact, Presence
from mixprec_doctor.codecheck.following import Followed, follow
from mixprec_doctor.codecheck.needs import Alternative, ClassNeed, Meaning
from mixprec_doctor.codecheck.release import ReleaseFacts


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """What stands behind a name of a class of the code: a member of a class of the package."""

    base: Followed
    fact: MemberFact


class Lineages:
    """Classes of the code and their bases in one release."""

    def __init__(
        self, classes: Iterable[ClassNeed], facts: ReleaseFacts, chosen: Callable[[Meaning], Alternative | None]
    ) -> None:
        self._classes = {each.number: each for each in classes}
        self._facts = facts
        self._chosen = chosen

    def of(self, number: int) -> ClassNeed | None:
        """A class by its number."""
        return self._classes.get(number)

    def bases(self, need: ClassNeed, depth: int = 0) -> tuple[list[Followed], bool]:
        """Classes of the package that a class is built on, directly or over others of the code, in the order of the
        source; and whether these are all that it is built on."""
        found: list[Followed] = []
        whole = True
        for base in need.bases:
            if isinstance(base, int):
                own = self._classes.get(base)
                inner, known = self.bases(own, depth + 1) if own is not None and depth < 20 else ([], False)
                found += [each for each in inner if each not in found]
                whole = whole and known
            elif base is None:
                whole = False
            elif base:
                followed = self._followed(base)
                if followed is None:
                    whole = False
                elif followed not in found:
                    found.append(followed)
        return found, whole

    def own(self, need: ClassNeed, depth: int = 0) -> list[ClassNeed]:
        """The class and the classes of the code that it is built on."""
        found = [need]
        for base in need.bases:
            if isinstance(base, int) and (own := self._classes.get(base)) is not None and depth < 20:
                found += [each for each in self.own(own, depth + 1) if each not in found]
        return found

    def inherited(self, need: ClassNeed, name: str) -> Inherited | Presence:
        """What the bases of a class have under a name; MISSING where none has it for certain."""
        bases, whole = self.bases(need)
        for base in bases:
            fact = self.member(base, name)
            if name == "__init__" and len(bases) > 1 and self._is_of_object(base):
                continue
            if fact.presence is Presence.THERE:
                return Inherited(base=base, fact=fact)
            if fact.presence is not Presence.MISSING:
                return Presence.UNKNOWN
        return Presence.MISSING if whole and bases and name != "__init__" else Presence.UNKNOWN

    def member(self, base: Followed, name: str) -> MemberFact:
        """What a class of the package has under a name; the constructor with what dataclasses make."""
        fact = self._facts.member(base.module, base.name, name)
        if name != "__init__" or fact.presence is Presence.THERE:
            return fact
        call = self._facts.call(base.module, base.name)
        if not call.certain:
            return fact
        return replace(fact, presence=Presence.THERE, kind="method", owner=f"{base.module}.{base.name}", call=call)

    def _is_of_object(self, base: Followed) -> bool:
        """Whether a class and all it inherits leave the constructor to ``object``, or to what comes after them."""
        call = self._facts.call(base.module, base.name)
        return call.certain and not call.parameters

    def _followed(self, meaning: Meaning) -> Followed | None:
        chosen = self._chosen(meaning)
        if chosen is None or chosen.target is None or chosen.target.package != self._facts.package:
            return None
        found = follow(chosen.target, self._facts)
        return found if isinstance(found, Followed) and found.kind == "class" else None
