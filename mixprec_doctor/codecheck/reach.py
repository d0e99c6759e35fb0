"""Reach: whether some code runs in a release, and what becomes of its faults there."""

from __future__ import annotations

__all__ = ["Reach"]

import builtins
from collections.abc import Callable, Iterable, Mapping
from operator import eq, ge, gt, le, lt, ne

from mixprec_doctor.codecheck.conditions import (
    AnyOf,
    AttributeTest,
    Constant,
    EveryOf,
    Flag,
    ModuleTest,
    Not,
    ParameterTest,
    PythonTest,
    Test,
    VersionTest,
    compare_versions,
)
from mixprec_doctor.codecheck.facts import Presence
from mixprec_doctor.codecheck.following import Lost, follow
from mixprec_doctor.codecheck.needs import (
    Alternative,
    Guard,
    ImportNeed,
    Meaning,
    Need,
    Project,
    Target,
    TryKey,
    UseNeed,
)
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.codecheck.rules.calls import called_of
from mixprec_doctor.source.truth import Truth, every, some

_OPERATORS = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}

Raised = Callable[[Need], "str | None"]  # what a need raises in the release; None: nothing, so far as is known


class Reach:
    """The guards of some code, judged for one release. ``raised`` tells what an import or chain raises there."""

    def __init__(self, project: Project, facts: ReleaseFacts, raised: Raised) -> None:
        self._facts = facts
        self._tries = project.tries
        self._raised = raised
        self._inside = _needs_inside(project.needs)
        self._mentions = project.mentions
        self._outcomes: dict[TryKey, tuple[Truth, str]] = {}
        self._open: set[TryKey] = set()

    def runs(self, guards: Iterable[Guard]) -> Truth:
        """Whether what stands under these guards is reached."""
        return every(self._guard(each) for each in guards)

    def reached(self, need: Need) -> Truth:
        """Whether a need is reached: by its guards, and by a mention of the function around it if there is any."""
        found = self.runs(need.guards)
        for part in (need.within or "").split("."):
            if found is not Truth.NO and (mentions := self._mentions.get(part)):
                called = [self.runs(each) for each in mentions]
                if all(each is Truth.NO for each in called):
                    return Truth.NO
        return found

    def fallback(self, guards: tuple[Guard, ...], raised: str) -> tuple[TryKey, int] | None:
        """The innermost handler that takes an exception and does not end with raising."""
        for guard in reversed(guards):
            if guard.kind == "try" and guard.part == -1 and guard.key is not None:
                taken = self._handler(guard.key, raised)
                if taken is not None and not self._tries[guard.key].handlers[taken].raises:
                    return guard.key, taken
        return None

    def goes_on(self, guards: tuple[Guard, ...], raised: str) -> bool:
        """Whether a handler that takes the exception tries another import: then that one is judged."""
        for guard in reversed(guards):
            if guard.kind == "try" and guard.part == -1 and guard.key is not None:
                taken = self._handler(guard.key, raised)
                if taken is not None:
                    return any(
                        isinstance(each, ImportNeed) and Guard("try", guard.key, taken) in each.guards
                        for each in self._inside.get(guard.key, ())
                    )  # fmt: skip
        return False

    def rungs_before(self, guards: tuple[Guard, ...]) -> list[Need]:
        """Imports in the bodies of the tries in whose handlers some code stands."""
        keys = [guard.key for guard in guards if guard.kind == "try" and guard.part >= 0 and guard.key is not None]
        return [
            each for key in keys for each in self._inside.get(key, ())
            if isinstance(each, ImportNeed) and Guard("try", key, -1) in each.guards and self._raised(each)
        ]  # fmt: skip

    def chosen(self, meaning: Meaning) -> Alternative | None:
        """What a name stands for in this release; None where that is not decided, or nothing of a package."""
        open_ones: list[Alternative] = []
        for each in reversed(meaning):
            bound = self._binds(each)
            if bound is Truth.NO:
                continue
            if bound is Truth.YES:
                if any(other.target != each.target for other in open_ones):
                    return None
                return each if each.target is not None else None
            open_ones.append(each)
        if len({each.target for each in open_ones}) == 1:
            return open_ones[0] if open_ones[0].target is not None else None
        return None

    def line(self, key: TryKey) -> int:
        """The line of a try."""
        return self._tries[key].line

    def holds(self, test: Test) -> Truth:
        """What a condition says in this release."""
        if isinstance(test, Constant):
            return Truth.of(test.value)
        if isinstance(test, Not):
            return ~self.holds(test.test)
        if isinstance(test, EveryOf):
            return every(self.holds(each) for each in test.tests)
        if isinstance(test, AnyOf):
            return some(self.holds(each) for each in test.tests)
        if isinstance(test, VersionTest):
            return compare_versions(test, self._facts.version if test.package == self._facts.package else None)
        if isinstance(test, PythonTest):
            python = self._facts.python
            length = len(test.value)
            if python is None or len(python) < min(length, 2):
                return Truth.UNKNOWN
            return Truth.of(_OPERATORS[test.operator](python[: max(length, 3)], test.value))
        return self._about_package(test)

    def _about_package(self, test: Test) -> Truth:
        if isinstance(test, Flag):
            return self._flag(test)
        if isinstance(test, ParameterTest) and test.module.partition(".")[0] == self._facts.package:
            return self._has_parameter(test)
        if isinstance(test, ModuleTest) and test.module.partition(".")[0] == self._facts.package:
            there = self._facts.module(test.module)
            return {Presence.THERE: Truth.YES, Presence.MISSING: Truth.NO}.get(there, Truth.UNKNOWN)
        if isinstance(test, AttributeTest) and test.module.partition(".")[0] == self._facts.package:
            found = follow(Target(test.module, test.path), self._facts)
            if found is None:
                return Truth.UNKNOWN
            return Truth.of(not isinstance(found, Lost))
        return Truth.UNKNOWN

    def _flag(self, test: Flag) -> Truth:
        """What a name holds: decided where all the bindings that may be the last one agree."""
        values: set[Truth] = set()
        for guards, value in reversed(test.options):
            bound = self._binds(Alternative(None, guards))
            if bound is Truth.NO:
                continue
            if value is None:
                values.add(Truth.UNKNOWN)
            else:
                values.add(Truth.of(value) if isinstance(value, bool) else self.holds(value))
            if bound is Truth.YES:
                break
        return values.pop() if len(values) == 1 else Truth.UNKNOWN

    def _has_parameter(self, test: ParameterTest) -> Truth:
        called = called_of(Target(test.module, test.path), self._facts)
        if called is None:
            return Truth.UNKNOWN
        return Truth.of(test.name in {each.name for each in called.fact.parameters})

    def _guard(self, guard: Guard) -> Truth:
        if guard.kind == "if" and guard.test is not None:
            holds = self.holds(guard.test)
            return holds if guard.holds else ~holds
        if guard.kind != "try" or guard.part == -1 or guard.key is None:
            return Truth.YES
        fails, raised = self._outcome(guard.key)
        if guard.part == -2:
            return ~fails
        if fails is not Truth.YES:
            return fails
        return Truth.of(self._handler(guard.key, raised) == guard.part)

    def _binds(self, alternative: Alternative) -> Truth:
        """Whether a binding under guards is made: reached, and not cut off by a failing try."""
        truths = [self._guard(each) for each in alternative.guards]
        truths += [
            ~self._outcome(each.key)[0]
            for each in alternative.guards
            if each.kind == "try" and each.part == -1 and each.key is not None
        ]
        return every(truths)

    def _outcome(self, key: TryKey) -> tuple[Truth, str]:
        """Whether the body of a try fails, and with what."""
        if key in self._outcomes:
            return self._outcomes[key]
        if key in self._open:
            return Truth.NO, ""
        self._open.add(key)
        try:
            self._outcomes[key] = self._work_out(key)
        finally:
            self._open.discard(key)
        return self._outcomes[key]

    def _work_out(self, key: TryKey) -> tuple[Truth, str]:
        known = self._tries.get(key)
        open_end = Truth.UNKNOWN if known is None or known.others else Truth.NO
        body = Guard("try", key, -1)
        for need in self._inside.get(key, ()):
            if body not in need.guards or not isinstance(need, (ImportNeed, UseNeed)):
                continue
            inner = need.guards[need.guards.index(body) + 1 :]
            runs = self.runs(inner)
            raised = self._raised(need) if runs is not Truth.NO else None
            if raised is None or self._is_swallowed(inner, raised):
                continue
            if runs is Truth.YES:
                return Truth.YES, raised
            open_end = Truth.UNKNOWN
        return open_end, ""

    def _is_swallowed(self, inner: tuple[Guard, ...], raised: str) -> bool:
        return self.fallback(inner, raised) is not None

    def _handler(self, key: TryKey, raised: str) -> int | None:
        """Which handler of a try takes an exception."""
        known = self._tries.get(key)
        for at, handler in enumerate(known.handlers if known is not None else ()):
            if any(_takes(name, raised) for name in handler.catches):
                return at
        return None


def _takes(name: str, raised: str) -> bool:
    wanted, own = getattr(builtins, name, None), getattr(builtins, raised, None)
    return isinstance(wanted, type) and isinstance(own, type) and issubclass(own, wanted)


def _needs_inside(needs: Iterable[Need]) -> Mapping[TryKey, list[Need]]:
    found: dict[TryKey, list[Need]] = {}
    for need in needs:
        for guard in need.guards:
            if guard.kind == "try" and guard.key is not None:
                found.setdefault(guard.key, []).append(need)
    return found
