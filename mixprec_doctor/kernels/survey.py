"""Survey: which kernels an engine's own chooser goes through for a layer, in its order, and what it asks of each."""

from __future__ import annotations

__all__ = ["Answer", "Candidate", "Survey", "ask", "combined", "deciding", "forced", "survey"]

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixprec_doctor.kernels.evaluator import Evaluator
from mixprec_doctor.kernels.paths import Outcome
from mixprec_doctor.kernels.values import Bound, Class, Function, Instance, Raised, Unknown, text_of

_CHOOSER = re.compile(r"(?:choose|init)_\w*kernel")
_QUESTIONS = ("get_min_capability", "is_supported", "can_implement")
_OWN_FAULTS = ("TypeError", "AttributeError", "KeyError", "IndexError", "NameError")  # may be the reading's own
_MOST_REASONS = 3


@dataclass(frozen=True)
class Answer:
    """Whether a kernel would do; None: not decided. The reasons are the engine's words, or what is not known."""

    accepted: bool | None
    reasons: tuple[str, ...] = ()


@dataclass
class Candidate:
    """One kernel of the list, and what the chooser was told of it."""

    kernel: Class
    answers: list[Answer] = field(default_factory=list)
    minimum: object = None  # the compute capability that it asks for

    def verdict(self, capability: int | None) -> Answer:
        """All answers as one: a no outweighs what is open."""
        if isinstance(self.minimum, int) and capability is not None and self.minimum > capability:
            needs, has = (f"{number // 10}.{number % 10}" for number in (self.minimum, capability))
            return Answer(False, (f"needs compute capability {needs}, this machine has {has}",))
        for wanted in (False, None):
            found = [each for each in self.answers if each.accepted is wanted]
            if found:
                return Answer(wanted, tuple(dict.fromkeys(reason for each in found for reason in each.reasons)))
        return Answer(True)


@dataclass
class Survey:
    """The candidates in the chooser's order; empty where the engine has no choice for the layer."""

    candidates: dict[int, Candidate] = field(default_factory=dict)
    chooser: str | None = None  # the function that chooses
    fault: Raised | None = None  # what it ends in when every kernel is refused


class _Done(Exception):
    """All candidates are known."""


def survey(ev: Evaluator, work: Callable[[], object]) -> Survey:
    """Do some work up to its first chooser; there each kernel is asked, and refused so that the next one is too."""
    found = Survey()
    inside: list[str] = []

    def hook(callee: object, given: list[Any], words: dict[str, Any]) -> object:
        function = callee.function if isinstance(callee, Bound) else callee
        if not isinstance(function, Function):
            return NotImplemented
        owner = callee.owner if isinstance(callee, Bound) else None
        if inside and isinstance(owner, Class) and function.name in _QUESTIONS:
            candidate = found.candidates.setdefault(id(owner), Candidate(owner))
            return _asked(ev, candidate, callee, function.name, given, words)
        if not inside and function.home is None and _CHOOSER.fullmatch(function.name):
            return _choose(ev, found, inside, callee, given, words)
        return NotImplemented

    before, ev.hook = ev.hook, hook
    try:
        work()
    except _Done:
        pass
    finally:
        ev.hook = before
    return found


def _choose(
    ev: Evaluator, found: Survey, inside: list[str], callee: object, given: list[Any], words: dict[str, Any]
) -> object:
    """Let the chooser go through its list."""
    function = callee.function if isinstance(callee, Bound) else callee
    assert isinstance(function, Function)  # noqa: S101  the hook looked
    inside.append(function.name)
    found.chooser = function.name
    chosen: object = None
    try:
        chosen = ev.call(callee, given, words)
    except Raised as fault:
        found.fault = fault
    taken = chosen.of if isinstance(chosen, Instance) else chosen
    if isinstance(taken, Class):
        found.candidates.setdefault(id(taken), Candidate(taken))
    raise _Done


def _asked(
    ev: Evaluator, candidate: Candidate, callee: object, question: str, given: list[Any], words: dict[str, Any]
) -> object:
    if question == "get_min_capability":
        answer = _plainly(ev, callee)
        candidate.minimum = answer if isinstance(answer, int) else None
        return answer if isinstance(answer, int) else 0
    found = ask(ev, lambda: ev.call(callee, given, words))
    candidate.answers.append(found)
    reason = found.reasons[0] if found.reasons else None
    return (question == "is_supported" and found.accepted is not False, reason)


def _plainly(ev: Evaluator, callee: object) -> object:
    hook, ev.hook = ev.hook, None
    try:
        return ev.call(callee, [])
    except Raised:
        return None
    finally:
        ev.hook = hook


def forced(ev: Evaluator, kernel: Class, work: Callable[[], object]) -> object:
    """Do some work in which choosers take one kernel, whatever it would answer."""

    def hook(callee: object, given: list[Any], words: dict[str, Any]) -> object:
        if (
            isinstance(callee, Bound)
            and callee.function.name in _QUESTIONS
            and isinstance(callee.owner, (Class, Instance))
        ):
            owner = callee.owner if isinstance(callee.owner, Class) else callee.owner.of
            if isinstance(owner, Class):
                own = owner is kernel
                return (-1 if own else 10**6) if callee.function.name == "get_min_capability" else (own, None)
        return NotImplemented

    before, ev.hook = ev.hook, hook
    try:
        return work()
    finally:
        ev.hook = before


def ask(ev: Evaluator, work: Callable[[], object]) -> Answer:
    """What a question comes to on every path: yes, no, or open with what it hangs on."""
    hook, ev.hook = ev.hook, None
    try:
        outcomes, whole = ev.every_path(work)
    finally:
        ev.hook = hook
    return combined(outcomes, whole=whole)


def combined(outcomes: Sequence[Outcome], *, whole: bool) -> Answer:
    """One answer of all paths; ``whole`` says that there are no others."""
    answers = [_answer_of(each) for each in outcomes]
    if whole and answers and all(each.accepted is True for each in answers):
        return Answer(True)
    if whole and answers and all(each.accepted is False for each in answers):
        return Answer(
            False, tuple(dict.fromkeys(reason for each in answers for reason in each.reasons))[:_MOST_REASONS]
        )
    open_ = [reason for each in answers if each.accepted is None for reason in each.reasons]
    open_ += deciding(outcomes, [each.accepted for each in answers])
    return Answer(None, tuple(dict.fromkeys(open_))[:_MOST_REASONS] or ("it takes too long to read",))


def deciding(outcomes: Sequence[Outcome], answers: list[bool | None]) -> list[str]:
    """The assumptions that an answer hangs on: those of which both ways were taken, with different ends."""
    found = []
    for text in dict.fromkeys(text for each in outcomes for text, _ in each.assumed):
        ends = {
            way: {str(answer) for each, answer in zip(outcomes, answers, strict=True) if (text, way) in each.assumed}
            for way in (True, False)
        }
        if ends[True] != ends[False]:
            found.append(f"not known: {text}")
    return found


def _answer_of(outcome: Outcome) -> Answer:
    if outcome.raised is not None:
        words = f"{outcome.raised.name}: {outcome.raised.message}"
        return Answer(None if outcome.raised.name in _OWN_FAULTS else False, (words.rstrip(": "),))
    value = outcome.value
    if isinstance(value, tuple) and len(value) == 2:
        value, reason = value
    else:
        reason = None
    if isinstance(value, bool):
        text = reason.text if isinstance(reason, Unknown) else reason if isinstance(reason, str) else None
        return Answer(value, () if value else ((text or "the engine's own check says no").strip(),))
    return Answer(None, (f"not known: {text_of(value)}",))
