"""MP811 and MP812: a patch of something that is not in the release, or by something that is called otherwise."""

from __future__ import annotations

__all__ = ["EXPLANATIONS", "judge_patch"]

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mixprec_doctor.codecheck.binding import plain_parameters, refusal_of_least
from mixprec_doctor.codecheck.faults import Fault
from mixprec_doctor.codecheck.following import Followed, Lost, follow
from mixprec_doctor.codecheck.needs import PatchNeed, Project, Target
from mixprec_doctor.codecheck.release import ReleaseFacts
from mixprec_doctor.codecheck.rules.calls import Called, called_of
from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.records.signature import signature
from mixprec_doctor.usercode.calls import Arguments, bind


def judge_patch(
    need: PatchNeed, target: Target, imported: int, facts: ReleaseFacts, former: ReleaseFacts | None, project: Project
) -> Iterator[Fault]:
    """What is wrong with a patch. A name that nobody knows, or that the code reads itself, is only added by a plain
    assignment, which is no error."""
    found = follow(target, facts)
    if isinstance(found, Lost):
        if found.at < imported:
            return  # the import says so
        last = found.at == len(target.path) - 1
        had_it = former is not None and isinstance(follow(target, former), Followed)
        if last and not need.strict and not had_it and (target.path[-1] in project.loads or _is_new(target, facts)):
            return
        broken = need.strict or not last
        lacks = f"{found.module} has no {found.name}" if found.name else f"there is no module {found.module}"
        yield Fault(
            code="MP811", spot=need.spot, severity=Severity.ERROR if broken else Severity.WARNING,
            subject=str(target), summary=f"{need.words} is patched, and {lacks}",
            cause="" if broken else "the assignment succeeds, and nothing in the release reads it",
            raises=("ModuleNotFoundError" if found.what == "module" else "AttributeError") if broken else "",
            wanted=Target(target.module, target.path[: found.at + 1]) if found.what == "name" else None,
            what=found.what if found.what == "name" else "",
        )  # fmt: skip
    elif isinstance(found, Followed) and need.parameters is not None:
        calls = project.calls.get(target.path[-1], ())
        yield from _signature(need, target, facts, [_with_self(each, called_of(target, facts)) for each in calls])


def _is_new(target: Target, facts: ReleaseFacts) -> bool:
    """Whether nothing in the package mentions the last name as an attribute: then the code adds it for itself."""
    return not facts.mentions(target.path[-1])


def _with_self(given: Arguments, called: Called | None) -> Arguments:
    """A call on an object, of what is replaced on a class."""
    return replace(given, positional=given.positional + 1) if called is not None and called.member else given


def _signature(need: PatchNeed, target: Target, facts: ReleaseFacts, calls: Sequence[Arguments]) -> Iterator[Fault]:
    called = called_of(target, facts)
    if called is None or need.parameters is None:
        return
    new = plain_parameters(need.parameters)
    wrong = refusal_of_least(new, called.fact.parameters)
    more = _unknown_words(called, new)
    if not wrong and not more:
        return
    if any(bind(each, called.fact.parameters) and not bind(each, new) for each in calls):
        return  # the code calls it itself, its own way
    words = str(wrong) if wrong else f"it does not take {', '.join(more)}"
    yield Fault(
        code="MP812", spot=need.spot, severity=Severity.WARNING if wrong else Severity.INFO,
        subject=str(target),
        summary=f"{need.words} is replaced by {need.function}, which is called otherwise: {words}",
        cause=f"the release has {signature(called.shown, called.fact.parameters)}",
        evidence=(f"the new one is {signature(need.function or 'it', new)}",),
        advice="give it the parameters of what it replaces, or *args and **kwargs",
    )  # fmt: skip


def _unknown_words(called: Called, new: tuple[Parameter, ...]) -> tuple[str, ...]:
    """Parameters that may be given by keyword and that the new function has under no name."""
    if any(each.kind == "VAR_KEYWORD" for each in new):
        return ()
    named = {each.name for each in new}
    room = sum(each.kind.startswith("POSITIONAL") for each in new)
    old = [each for each in called.fact.parameters if not each.kind.startswith("VAR_")]
    if len(old) <= room and not any(each.kind == "KEYWORD_ONLY" for each in old):
        return ()
    return tuple(each.name for each in old if each.name not in named and each.kind != "POSITIONAL_ONLY")


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        code="MP811",
        title="a patch of what is not there",
        promise="The code replaces a name of the package that the release does not have.",
        explanation=(
            "`mock.patch`, `patch.object` and `monkeypatch.setattr` raise where the name is missing. A plain "
            "assignment or `setattr` succeeds and changes nothing: the release calls something else now. Where "
            "nothing in the release mentions the name at all, or where the code reads it itself, a plain assignment is "
            "taken to add it, and nothing is said."
        ),
        example="`vllm.worker.worker.Worker.load_model = mine`, in a release without `vllm.worker`.",
        cure="Patch what the release calls now, or use a hook that it offers.",
    ),
    Explanation(
        code="MP812",
        title="a patch that is called otherwise",
        promise="What the code puts in place of a function does not take the arguments of that function.",
        explanation=(
            "The release goes on calling the name with the arguments of its own function. A new one that lacks a "
            "required parameter fails with the first call, one that lacks an optional one when it is given."
        ),
        example="`loader.get_model = lambda config: ...`, and the release's has `vllm_config` and `model_config`.",
        cure="Give the new function the parameters of the old one, or `*args` and `**kwargs`.",
    ),
)
