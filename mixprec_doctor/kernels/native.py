"""Native: the verdicts on an engine's own kernels for one kind of checkpoint."""

from __future__ import annotations

__all__ = ["Route", "native_verdicts"]

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from mixprec_doctor.kernels.checkpoints import Origin
from mixprec_doctor.kernels.device import Device
from mixprec_doctor.kernels.evaluator import Evaluator
from mixprec_doctor.kernels.lives import Life, NoRoute
from mixprec_doctor.kernels.paths import Outcome
from mixprec_doctor.kernels.survey import Answer, Survey, ask, combined, deciding, forced, survey
from mixprec_doctor.kernels.values import Class, External, Raised, Unknown
from mixprec_doctor.records.kernel import Tier, Verdict

_MOST_WAYS = 16
_MOST_LIVES = 12
_MOST_REASONS = 3


@dataclass(frozen=True, kw_only=True)
class Route:
    """One way in which an engine takes a format, on one device."""

    ev: Evaluator
    life: Life
    origin: Origin
    dtype: str
    device: Device
    refused: str | None = None  # what the engine says when its own lookup is asked for the config
    takes_over: bool = False  # whether its config is for checkpoints of another method, and has a say in that
    missing: Callable[[str, int], str | None]  # why a call of an operator with so many arguments fails


def native_verdicts(route: Route) -> tuple[Verdict, ...]:
    """The engine's kernels for the route in its order; without a choice the linear method itself is the candidate."""
    owner = route.life.owner
    if route.refused is not None and (stands := owner or route.life.config) is not None:
        return (_verdict(stands, Answer(False, (route.refused,))),)
    if owner is None:
        return ()
    closed = _closed(route)
    if closed is not None and closed.accepted is False:
        return (_verdict(owner, closed),)
    try:
        ways, whole = route.ev.every_path(lambda: _way(route), most=_MOST_WAYS)
    except NoRoute as reason:
        return (_verdict(owner, Answer(False, (str(reason),))),)
    surveys = [each for each in ways if isinstance(each.value, Survey) and each.value.candidates]
    kernels = _kernels(surveys)
    found = [_candidate(route, kernel, ways) for kernel in kernels] if kernels else [_alone(route, owner, ways, whole)]
    if closed is not None:
        found = [replace(each, accepted=None, reasons=closed.reasons) if each.accepted else each for each in found]
    return tuple(found)


def _way(route: Route) -> object:
    return survey(route.ev, route.life.made)


def _kernels(surveys: list[Outcome]) -> list[Class]:
    """All kernels of the surveys, in the order of the longest of them."""
    lists = [
        [each.kernel for each in way.value.candidates.values()] for way in surveys if isinstance(way.value, Survey)
    ]
    lists.sort(key=len, reverse=True)
    return list(dict.fromkeys(kernel for each in lists for kernel in each))


def _candidate(route: Route, kernel: Class, ways: tuple[Outcome, ...]) -> Verdict:
    """One kernel of a list, as all ways to its chooser see it."""
    answers = []
    for way in ways:
        held = way.value.candidates.get(id(kernel)) if isinstance(way.value, Survey) else None
        answers.append(
            held.verdict(route.device.number) if held else Answer(None, ("it is not in the list on every path",))
        )
    answer = _joined(ways, answers)
    if answer.accepted is not False:
        answer = _with_operators(route, answer, lambda: forced(route.ev, kernel, lambda: _lived(route)))
    return _verdict(kernel, answer)


def _joined(ways: tuple[Outcome, ...], answers: list[Answer]) -> Answer:
    """One answer of several paths."""
    kinds = {each.accepted for each in answers}
    reasons = tuple(dict.fromkeys(reason for each in answers for reason in each.reasons))
    if len(kinds) == 1:
        return Answer(kinds.pop(), reasons[:_MOST_REASONS])
    hangs = deciding(ways, [each.accepted for each in answers])
    return Answer(None, tuple(dict.fromkeys([*hangs, *reasons]))[:_MOST_REASONS])


def _alone(route: Route, owner: Class, ways: tuple[Outcome, ...], whole: bool) -> Verdict:
    """The linear method itself: it does unless making its weights raises."""
    answer = combined([_ended(each) for each in ways], whole=whole)
    if answer.accepted is not False:
        answer = _with_operators(route, answer, lambda: _lived(route))
    return _verdict(owner, answer)


def _ended(way: Outcome) -> Outcome:
    """A way on which no kernel was asked: done, unless a chooser had nothing to choose from."""
    held = way.value if isinstance(way.value, Survey) else None
    if held is not None and held.chooser is not None:
        return replace(way, value=(False, f"{held.chooser} has no kernel in its list for this device"))
    return replace(way, value=True)


def _lived(route: Route) -> object:
    stage = route.life.made()
    with contextlib.suppress(Raised):  # what has been called by then counts
        route.life.served(stage)
    return True


def _with_operators(route: Route, answer: Answer, live: Callable[[], object]) -> Answer:
    """The answer, with operators that the way through the kernel calls and that are not there."""
    try:
        lives, whole = route.ev.every_path(live, most=_MOST_LIVES)
    except NoRoute as reason:
        return Answer(False, (str(reason),))
    made = combined(lives, whole=whole)
    if made.accepted is False:
        return made
    gone: dict[str, list[bool]] = {}
    finished = [each for each in lives if each.raised is None] or list(lives)
    for each in finished:
        here: dict[str, bool] = {}
        for operator, count, certain in each.called:
            if (reason_ := route.missing(operator, count)) is not None:
                here[reason_] = here.get(reason_, False) or certain
        for reason_, certain in here.items():
            gone.setdefault(reason_, []).append(certain)
    always = [text for text, seen in gone.items() if any(seen) or len(seen) == len(finished)]
    if always:
        return Answer(False, tuple(always[:_MOST_REASONS]))
    sometimes = [_sometimes(text, finished, route) for text in gone]
    if sometimes and answer.accepted is not False:
        return Answer(None, tuple(dict.fromkeys([*answer.reasons, *sometimes]))[:_MOST_REASONS])
    return answer


def _sometimes(text: str, lives: list[Outcome], route: Route) -> str:
    """A missing operator that is called on some paths only, with what that hangs on."""
    calls: list[bool | None] = [
        any(route.missing(name, count) == text for name, count, _ in each.called) for each in lives
    ]
    hangs = deciding(lives, calls)
    return f"{text}; it is called on some paths ({hangs[0]})" if hangs else f"{text}; it is called on some paths"


def _closed(route: Route) -> Answer | None:
    """What the classes say of themselves before any kernel is asked: capability, types of activations, conversion."""
    for of in (route.life.config, route.life.owner):
        if of is None:
            continue
        if (answer := _capability(route, of)) is not None:
            return answer
        if (answer := _dtypes(route, of)) is not None:
            return answer
    return _conversion(route)


def _capability(route: Route, of: Class) -> Answer | None:
    number = route.device.number
    wanted = _stated(route, of, "get_min_capability")
    if isinstance(wanted, int) and number is not None and wanted > number:
        needs, has = (f"{each // 10}.{each % 10}" for each in (wanted, number))
        return Answer(False, (f"{of.name} needs compute capability {needs}, this machine has {has}",))
    return None


def _dtypes(route: Route, of: Class) -> Answer | None:
    known = _stated(route, of, "get_supported_act_dtypes")
    if not isinstance(known, (list, tuple)) or not all(isinstance(each, External) for each in known):
        return None
    names = [each.name.removeprefix("torch.") for each in known if isinstance(each, External)]
    if route.dtype in names or not names:
        return None
    return Answer(False, (f"{of.name} takes activations of {', '.join(names)}, not of {route.dtype}",))


def _stated(route: Route, of: Class, name: str) -> object:
    """What a class says of itself, in a method of the class or of its objects."""
    for given in ((), (Unknown("self"),)):
        try:
            return route.ev.once(lambda given=given: route.ev.method(of, name, *given))  # type: ignore[misc]
        except Raised:
            continue
    return None


def _conversion(route: Route) -> Answer | None:
    """Whether a config takes over checkpoints of a method that is not its own, where it has a say in that."""
    of = route.life.config
    if of is None or not route.takes_over:
        return None

    def converts() -> object:
        try:
            answer = route.ev.method(of, "override_quantization_method", dict(route.origin.words), None)
        except Raised as fault:
            if fault.name != "TypeError":
                raise
            answer = route.ev.method(of, "override_quantization_method", dict(route.origin.words), None, None)
        if isinstance(answer, Unknown):
            return answer
        return (answer is not None, f"{of.name} does not take over this checkpoint here")

    answer = ask(route.ev, converts)
    return None if answer.accepted is True else answer


def _verdict(of: Class, answer: Answer) -> Verdict:
    return Verdict(
        candidate=of.name, tier=Tier.NATIVE, accepted=answer.accepted, reasons=answer.reasons, module=of.parsed.name
    )
