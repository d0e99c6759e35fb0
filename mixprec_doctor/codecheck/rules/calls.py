"""MP805 and MP806: a call that the release refuses, or understands otherwise than the release it was written for."""

from __future__ import annotations

__all__ = ["EXPLANATIONS", "Called", "called_of", "judge_call", "judge_shift"]

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mixprec_doctor.codecheck.facts import CallFact
from mixprec_doctor.codecheck.faults import Fault
from mixprec_doctor.codecheck.following import Followed, follow
from mixprec_doctor.codecheck.needs import CallNeed, Target
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.records.signature import signature
from mixprec_doctor.usercode.calls import Arguments, Misfit, abbreviates, bind

_LONG = 16  # parameters; beyond it, nobody reads a signature
_SELF = Parameter(name="self", kind="POSITIONAL_ONLY", required=True)


@dataclass(frozen=True, kw_only=True)
class Called:
    """What a call calls in a release: the definition, the method of it, and how it is called."""

    module: str
    name: str
    member: str = ""
    fact: CallFact

    @property
    def shown(self) -> str:
        """Its name as a signature begins."""
        return f"{self.name}.{self.member}" if self.member else self.name


def called_of(target: Target, facts: ReleaseFacts) -> Called | None:
    """What is called; None for what is not known for certain."""
    found = follow(target, facts)
    if not isinstance(found, Followed):
        return None
    if found.kind == "member" and found.fact is not None:
        fact = found.fact.call
        if found.fact.kind == "method":
            fact = replace(fact, parameters=(_SELF, *fact.parameters))
        elif found.fact.kind not in ("classmethod", "staticmethod"):
            return None
        called = Called(module=found.module, name=found.name, member=found.member, fact=fact)
    elif found.kind in ("class", "function", "value"):
        called = Called(module=found.module, name=found.name, fact=facts.call(found.module, found.name))
    else:
        return None
    return called if called.fact.certain else None


def judge_call(need: CallNeed, given: Arguments, called: Called) -> Iterator[Fault]:
    """Why a call does not bind: one fault for each unknown keyword, one for the rest."""
    fact = called.fact
    wrong = bind(given, fact.parameters, whole=not need.partial)
    if wrong:
        yield from _faults(need, called, wrong, fact.parameters)
    if fact.handed_to and not wrong.unknown:
        yield from _handed_on(need, given, called)


def judge_shift(need: CallNeed, given: Arguments, before: Called, after: Called) -> Iterator[Fault]:
    """Positional arguments that mean something else than in the release that the code was written for."""
    if given.starred or not given.positional:
        return
    old, new = _positional(before.fact.parameters), _positional(after.fact.parameters)
    shifted = [
        (one, other)
        for one, other in zip(old[: given.positional], new[: given.positional], strict=False)
        if one.name != other.name and not _is_renamed(one, other, old, new)
    ]
    if not shifted:
        return
    words = ", ".join(f"{one.name} is {other.name} now" for one, other in shifted)
    moved = any(one.name in {each.name for each in new} for one, _ in shifted)
    yield Fault(
        code="MP806", spot=need.spot, severity=Severity.ERROR if moved else Severity.WARNING,
        subject=f"{after.module}.{after.shown}",
        summary=f"{need.words}(...): positional arguments have another meaning: {words}",
        cause=f"it is {_shown(after, after.fact.parameters)}",
        evidence=(f"it was {_shown(before, before.fact.parameters)}",),
        advice="give them by keyword",
    )  # fmt: skip


def _is_renamed(one: Parameter, other: Parameter, old: Sequence[Parameter], new: Sequence[Parameter]) -> bool:
    """Whether a parameter kept its place and only got another name."""
    gone = one.name not in {each.name for each in new} and other.name not in {each.name for each in old}
    return gone and (one.annotation == other.annotation or one.name.strip("_") == other.name.strip("_"))


def _handed_on(need: CallNeed, given: Arguments, called: Called) -> Iterator[Fault]:
    """What refuses the further keywords that the called thing hands on."""
    fact = called.fact
    own = {each.name for each in fact.parameters if not each.kind.startswith("VAR_")}
    known = own | {each.name for each in fact.handed_on} | set(fact.looked_at)
    unknown = tuple(word for word in given.keywords if word not in known)
    is_whole = not need.partial and not given.spread and not set(given.keywords) & set(fact.looked_at)
    required = (each.name for each in fact.handed_on if each.required)
    missing = tuple(name for name in required if name not in {*fact.added, *given.keywords}) if is_whole else ()
    wrong = Misfit(unknown=unknown, missing=missing)
    taken = tuple(each for each in fact.parameters if not each.kind.startswith("VAR_"))
    taken += tuple(each for each in fact.handed_on if each.name not in own)
    by_way = f"{called.name} hands its further keywords on to {fact.handed_to}; together they are "
    yield from _faults(need, called, wrong, taken, by_way=by_way)


def _faults(
    need: CallNeed, called: Called, wrong: Misfit, parameters: tuple[Parameter, ...], *, by_way: str = ""
) -> Iterator[Fault]:
    subject = f"{called.module}.{called.shown}"
    cause = f"{by_way or 'it is '}{_shown(called, parameters, wrong)}"
    spots = dict(zip(need.arguments.keywords, need.keyword_spots, strict=False))
    for word in wrong.unknown:
        near = _near(word, wrong, parameters)
        advice = f"call it {near}" if near else f"leave {word} out"
        yield Fault(
            code="MP805", spot=spots.get(word, need.spot), severity=Severity.ERROR, subject=subject,
            summary=f"{need.words}(...) has no parameter {word}", cause=cause, raises="TypeError", advice=advice,
            keyword=word, called=(called.module, called.name), member=called.member, parameters=parameters,
        )  # fmt: skip
    rest = replace(wrong, unknown=())
    if rest:
        parts = [f"give {name}" for name in rest.missing] + [f"give {name} once" for name in rest.doubled]
        if rest.surplus:
            parts.append("give the arguments by keyword")
        yield Fault(
            code="MP805", spot=need.spot, severity=Severity.ERROR, subject=subject,
            summary=f"{need.words}(...) does not fit: {rest}", cause=cause, raises="TypeError",
            advice=", ".join(parts), called=(called.module, called.name), member=called.member, parameters=parameters,
        )  # fmt: skip


def _near(word: str, wrong: Misfit, parameters: Sequence[Parameter]) -> str | None:
    names = [each.name for each in parameters if not each.kind.startswith("VAR_")]
    required = difflib.get_close_matches(word, wrong.missing, n=1, cutoff=0.5)
    short = [name for name in names if abbreviates(name, word) or abbreviates(word, name)]
    near = required or short or difflib.get_close_matches(word, names, n=1, cutoff=0.8)
    return near[0] if near else None


def _shown(called: Called, parameters: Sequence[Parameter], wrong: Misfit | None = None) -> str:
    """The signature; of a long one what is required and what resembles the unknown words."""
    parameters = tuple(each for each in parameters if each is not _SELF)
    if len(parameters) <= _LONG:
        return signature(called.shown, parameters)
    names = [each.name for each in parameters]
    near = {each for word in (wrong.unknown if wrong else ()) for each in difflib.get_close_matches(word, names, n=4)}
    kept = tuple(each for each in parameters if each.required or each.name in near)[:_LONG]
    text = signature(called.shown, kept).removesuffix(")")
    return f"{text}{', ' if kept else ''}and {len(parameters) - len(kept)} more)"


def _positional(parameters: Sequence[Parameter]) -> list[Parameter]:
    return [each for each in parameters if each.kind in ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")]


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        code="MP805",
        title="a call that the release refuses",
        promise="A call would end in a TypeError before the called thing runs: its arguments do not fit.",
        explanation=(
            "Calls of imported functions and classes, of methods through their class, of `super()` in a subclass and "
            "of `functools.partial` are bound to the signature that the release's source gives: constructors with all "
            "that they inherit, dataclasses, keywords that a constructor hands on to another one. What the source does "
            "not settle is left alone, and so is what `*arguments` and `**keywords` of the call may hold."
        ),
        example="`SamplingParams(max_token=16)`: no parameter `max_token`.",
        cure="Call it as the signature in the finding says; a keyword that was only renamed is changed by `--fix`.",
    ),
    Explanation(
        code="MP806",
        title="positional arguments that mean something else",
        promise="The call binds, but an argument given by position goes to another parameter than it did before.",
        explanation=(
            "Only with `--from RELEASE`, which names the release that the code was written for. A parameter that was "
            "put in or taken out moves all that follow it, and nothing fails at once. A parameter that kept its place "
            "and type and got another name is no shift."
        ),
        example="`LinearMethod(config, True)`, where `prefix` was put in between.",
        cure="Give the arguments by keyword.",
    ),
)
