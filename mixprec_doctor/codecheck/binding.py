"""Binding: what functions of the code take, and whether the least call that others make of them binds."""

from __future__ import annotations

__all__ = ["least_call", "plain_parameters", "refusal_of_least"]

from collections.abc import Sequence

from mixprec_doctor.records.resolution import Parameter
from mixprec_doctor.usercode.calls import Arguments, Misfit, bind


def plain_parameters(raw: Sequence[tuple[str, str, bool]]) -> tuple[Parameter, ...]:
    """Parameters of a function of the code."""
    return tuple(Parameter(name=name, kind=kind, required=required) for name, kind, required in raw)


def least_call(parameters: Sequence[Parameter], *, by_keyword: bool = False) -> Arguments:
    """The call that gives what is required and no more, by position where that can be."""
    required = [each for each in parameters if each.required and not each.kind.startswith("VAR_")]
    words = [
        each.name for each in required
        if each.kind == "KEYWORD_ONLY" or (by_keyword and each.kind != "POSITIONAL_ONLY")
    ]  # fmt: skip
    return Arguments(positional=len(required) - len(words), keywords=tuple(words))


def refusal_of_least(own: Sequence[Parameter], theirs: Sequence[Parameter]) -> Misfit:
    """How the least call that some parameters allow fails to bind to others, by position and by keyword too; what
    takes anything may be given more."""
    wrong = [bind(least_call(theirs, by_keyword=each), own) for each in (False, True)]
    if any(each.kind.startswith("VAR_") for each in theirs):
        wrong = [Misfit(unknown=each.unknown, surplus=each.surplus) for each in wrong]
    return wrong[0] if all(wrong) else Misfit()
