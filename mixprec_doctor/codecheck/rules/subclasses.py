"""MP807 to MP810: classes of the code that no longer fit what they are built on."""

from __future__ import annotations

__all__ = ["EXPLANATIONS", "judge_class"]

from collections.abc import Iterator, Mapping, Sequence

from mixprec_doctor.codecheck.binding import plain_parameters, refusal_of_least
from mixprec_doctor.codecheck.facts import CallShape, MemberFact, Presence
from mixprec_doctor.codecheck.faults import Fault
from mixprec_doctor.codecheck.following import Followed, follow
from mixprec_doctor.codecheck.lineages import Inherited, Lineages
from mixprec_doctor.codecheck.needs import ClassNeed, Method
from mixprec_doctor.codecheck.reach import Reach
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.records.signature import signature
from mixprec_doctor.usercode.calls import Arguments, bind

_ON_CLASSES = {"classmethod", "staticmethod"}


def judge_class(
    need: ClassNeed,
    lineages: Lineages,
    reach: Reach,
    facts: ReleaseFacts,
    before: tuple[Lineages, ReleaseFacts] | None,
    calls: Mapping[str, Sequence[Arguments]],
) -> Iterator[Fault]:
    """What does not fit between a class and its bases in a release. ``calls`` are those of the code itself."""
    for base in need.bases:
        if isinstance(base, tuple) and base:
            chosen = reach.chosen(base)
            if chosen is not None and chosen.target is not None and chosen.target.package == facts.package:
                found = follow(chosen.target, facts)
                if isinstance(found, Followed) and found.kind in ("function", "module"):
                    yield Fault(
                        code="MP807", spot=need.spot, severity=Severity.ERROR, subject=str(chosen.target),
                        summary=f"{need.name} is built on {chosen.target}, which is a {found.kind} and no class",
                        raises="TypeError",
                    )  # fmt: skip
    for method in need.methods:
        if not method.name.startswith("__"):
            yield from _override(need, method, lineages, facts, calls.get(method.name, ()))
            if before is not None:
                yield from _forgotten(need, method, lineages, facts, before)
    if not need.is_base and not need.is_abstract:
        yield from _left_out(need, lineages, facts)


def _override(
    need: ClassNeed, method: Method, lineages: Lineages, facts: ReleaseFacts, own_calls: Sequence[Arguments]
) -> Iterator[Fault]:
    if any(each is not need and _defines(each, method.name) for each in lineages.own(need)):
        return  # it overrides another method of the code, which is judged itself
    found = lineages.inherited(need, method.name)
    if not isinstance(found, Inherited) or not method.certain or method.only_raises:
        return
    kinds = {found.fact.kind, method.kind}
    if "value" in kinds or "class" in kinds or "other" in kinds:
        return
    called_on_class = found.fact.kind in _ON_CLASSES and method.kind == "method"
    if called_on_class or ("property" in kinds and kinds != {"property"}):
        words = f"is a {method.kind}, and {found.fact.owner} has a {found.fact.kind} of that name"
        yield _fault(need, method, found, Severity.WARNING, f"{need.name}.{method.name} {words}")
    elif kinds != {"property"} and found.fact.call.certain:
        yield from _parameters(need, method, found, facts, own_calls)


def _parameters(
    need: ClassNeed, method: Method, found: Inherited, facts: ReleaseFacts, own_calls: Sequence[Arguments]
) -> Iterator[Fault]:
    theirs, own = found.fact.call.parameters, plain_parameters(method.parameters)
    if _covers(own, theirs):
        return
    wrong = refusal_of_least(own, theirs)
    calls = _calls(method.name, found, own, theirs, facts)
    if not wrong and not calls:
        return
    lacks = tuple(
        each.name for each in theirs if not each.kind.startswith("VAR_") and each.name not in {one.name for one in own}
    )
    words = str(wrong) if wrong else f"it does not take {', '.join(lacks) or 'all that it is given'}"
    called = tuple(f"{facts.package} calls it in {each.module}, line {each.line}" for each in calls[:3])
    severity = Severity.WARNING if calls else Severity.INFO
    if wrong and calls and _is_interface(found):
        severity = Severity.ERROR
    if any(bind(each, theirs) and not bind(each, own) for each in own_calls):
        severity = Severity.INFO
        called += ("the code itself calls it with arguments that only its own takes",)
    yield _fault(
        need, method, found, severity,
        f"{need.name}.{method.name} does not take what {found.fact.owner}.{method.name} takes: {words}",
        evidence=(f"this one is {signature(method.name, own)}", *called),
    )  # fmt: skip


def _calls(
    name: str, found: Inherited, own: Sequence[Parameter], theirs: Sequence[Parameter], facts: ReleaseFacts
) -> list[CallShape]:
    """Calls that the base's method takes and the code's refuses. A method that is there to be overridden may be called
    from anywhere; of another one only calls where the class is known are sure to mean it."""
    fact = facts.of_class(found.base.module, found.base.name)
    family = {each.rpartition(".")[0] for each in (fact.lineage if fact is not None else ())}
    calls = [
        each for each in facts.calls_of(name)
        if _conflicts(each, own, theirs) and (not each.on_self or each.module in family)
    ]  # fmt: skip
    if _is_interface(found):
        return calls
    home, _, owner = found.fact.owner.rpartition(".")
    return [each for each in calls if each.module == home or facts.names_class(each.module, owner)]


def _is_interface(found: Inherited) -> bool:
    return found.fact.is_abstract or found.fact.only_raises


def _fault(
    need: ClassNeed, method: Method, found: Inherited, severity: Severity, summary: str, evidence: tuple[str, ...] = ()
) -> Fault:
    theirs = found.fact.call.parameters
    return Fault(
        code="MP808", spot=method.spot, severity=severity, subject=f"{found.fact.owner}.{method.name}",
        summary=summary, cause=f"the release has {signature(method.name, theirs)}" if found.fact.call.certain else "",
        evidence=evidence, advice="give it the parameters of the base, or *args and **kwargs",
    )  # fmt: skip


def _covers(own: Sequence[Parameter], theirs: Sequence[Parameter]) -> bool:
    """Whether a method takes every parameter of the base by its name and in its place, and requires no other."""
    kinds = {each.kind for each in own}
    names = {each.name for each in own}
    if any(each.required and each.name not in {one.name for one in theirs} for each in own) and not _takes_any(theirs):
        return False
    positional = [each.name for each in own if each.kind.startswith("POSITIONAL")]
    for at, each in enumerate(one for one in theirs if one.kind.startswith("POSITIONAL")):
        in_place = at < len(positional) and positional[at] == each.name
        if not in_place and not {"VAR_POSITIONAL", "VAR_KEYWORD"} <= kinds:
            return False
    return all(
        each.name in names or "VAR_KEYWORD" in kinds for each in theirs if each.kind == "KEYWORD_ONLY"
    )  # fmt: skip


def _conflicts(call: CallShape, own: Sequence[Parameter], theirs: Sequence[Parameter]) -> bool:
    """Whether a call fits the base's signature, and with names of it, but not that of the code."""
    given = Arguments(call.positional, call.starred, call.keywords, call.spread)
    return not bind(given, theirs) and bool(bind(given, own)) and (call.positional > 0 or bool(call.keywords))


def _takes_any(parameters: Sequence[Parameter]) -> bool:
    return any(each.kind.startswith("VAR_") for each in parameters)


def _defines(need: ClassNeed, name: str) -> bool:
    return name in need.others or any(each.name == name for each in need.methods)


def _left_out(need: ClassNeed, lineages: Lineages, facts: ReleaseFacts) -> Iterator[Fault]:
    bases, whole = lineages.bases(need)
    if not whole:
        return
    own = lineages.own(need)
    if any(each.is_abstract or (each.dynamic and each is not need) for each in own):
        return
    left = [
        name for base in bases for name in _names(base, facts, hollow=False)
        if not any(_defines(each, name) for each in own) and not _filled(name, base, bases, lineages)
    ]  # fmt: skip
    if not need.is_made:  # what a class of the release itself leaves out need not be written for one never made
        left = [name for name in left if any(_writes(base, name, lineages) for base in bases)]
    if left:
        words = ", ".join(dict.fromkeys(left))
        made = "and the code makes one" if need.is_made else "nothing in the code that was read makes one"
        yield Fault(
            code="MP809", spot=need.spot, severity=Severity.ERROR if need.is_made else Severity.WARNING,
            subject=f"{bases[0].module}.{bases[0].name}",
            summary=f"{need.name} leaves out abstract methods of its base: {words}",
            cause=f"Python refuses to make objects of it; {made}", advice=f"write {words}",
        )  # fmt: skip
        return
    empty = [
        name for base in bases for name in _names(base, facts, hollow=True)
        if not any(_defines(each, name) for each in own) and not _filled(name, base, bases, lineages)
    ]  # fmt: skip
    if empty:
        words = ", ".join(dict.fromkeys(empty))
        yield Fault(
            code="MP809", spot=need.spot, severity=Severity.INFO, subject=f"{bases[0].module}.{bases[0].name}",
            summary=f"{need.name} leaves out methods that only raise NotImplementedError in its base: {words}",
        )  # fmt: skip


def _writes(base: Followed, name: str, lineages: Lineages) -> bool:
    """Whether a class itself, and none that it is built on, has the method."""
    return lineages.member(base, name).owner == f"{base.module}.{base.name}"


def _names(base: Followed, facts: ReleaseFacts, *, hollow: bool) -> Sequence[str]:
    fact = facts.of_class(base.module, base.name)
    if fact is None:
        return ()
    return fact.hollow if hollow else fact.abstract


def _filled(name: str, base: Followed, bases: Sequence[Followed], lineages: Lineages) -> bool:
    """Whether another base has the method."""
    for other in bases:
        if other is not base:
            fact: MemberFact = lineages.member(other, name)
            if fact.presence is Presence.THERE and not fact.is_abstract and not fact.only_raises:
                return True
    return False


def _forgotten(
    need: ClassNeed, method: Method, lineages: Lineages, facts: ReleaseFacts, before: tuple[Lineages, ReleaseFacts]
) -> Iterator[Fault]:
    """A method that the base had, and that nothing calls any more."""
    old_lineages, old = before
    had = old_lineages.inherited(need, method.name)
    if not isinstance(had, Inherited):
        return
    bases, whole = lineages.bases(need)
    if not whole or not bases:
        return
    if any(lineages.member(base, method.name).presence is Presence.THERE for base in bases):
        return
    if facts.calls_of(method.name) or any(
        each is not need and _defines(each, method.name) for each in lineages.own(need)
    ):  # fmt: skip
        return
    yield Fault(
        code="MP810", spot=method.spot, severity=Severity.WARNING, subject=f"{had.fact.owner}.{method.name}",
        summary=f"{need.name}.{method.name} overrides nothing any more: the base has no such method",
        cause=f"{old.version} has it in {had.fact.owner}; nothing in this release calls a method so named",
        advice="see what the base calls in its place",
    )  # fmt: skip


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        code="MP807",
        title="a base that is no class",
        promise="A class of the code is built on something that is a function or a module in this release.",
        explanation="A base that is gone altogether is told where it is imported.",
        example="`class Mine(get_model_loader)`.",
        cure="Build on the class that the release has.",
    ),
    Explanation(
        code="MP808",
        title="an override that does not take what its base takes",
        promise="A method of the code overrides one of the release and cannot be called as that is called.",
        explanation=(
            "The least call that the base's signature allows is bound to the method; then every call of a method of "
            "that name in the release that fits the base. It is an error where both fail and the base's method is "
            "there to be overridden, a warning where a call fails, else a note: perhaps only the code calls it. A "
            "property in place of a method, and a plain method in place of one that is called on the class, are "
            "warnings."
        ),
        example="`def apply(self, layer, x)`, and the base's `apply` has a third parameter that the engine gives.",
        cure="Give the method the parameters of the base, or `*args` and `**kwargs`.",
    ),
    Explanation(
        code="MP809",
        title="an abstract method left out",
        promise="A class of the code lacks a method that its base demands.",
        explanation=(
            "Python refuses to make objects of a class with abstract methods. It is an error where the code makes one, "
            "a warning where that may happen elsewhere, and a note where the base's method only raises "
            "NotImplementedError. Classes that other classes of the code are built on are left alone."
        ),
        example="A `QuantizationConfig` without `get_quant_method`.",
        cure="Write the method.",
    ),
    Explanation(
        code="MP810",
        title="a method that is never called any more",
        promise="The base had a method of that name in the release that the code was written for, and has none now.",
        explanation=(
            "Only with `--from RELEASE`. Nothing fails: the method is simply not called, and what it did is not done. "
            "Nothing is said where the release still calls a method of that name on something."
        ),
        example="`def load_weights_into(self, ...)`, which the base called `load` since.",
        cure="Look at what the base calls in its place.",
    ),
)
