"""Binding: the arguments of a call held against parameters, as Python would."""

from __future__ import annotations

__all__ = ["Misfit", "bind", "least_call", "plain_parameters", "refusal_of_least"]

from collections.abc import Sequence
from dataclasses import dataclass

from mixprec_doctor.codecheck.needs import Arguments
from mixprec_doctor.records.resolution import Parameter

_BY_POSITION = frozenset({"POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD"})
_BY_KEYWORD = frozenset({"KEYWORD_ONLY", "POSITIONAL_OR_KEYWORD"})


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """Why a call does not bind to parameters. All empty: it binds."""

    unknown: tuple[str, ...] = ()  # keywords that there is no parameter for
    missing: tuple[str, ...] = ()  # required parameters that get nothing
    doubled: tuple[str, ...] = ()  # parameters given by position and by keyword
    surplus: int = 0  # positional arguments beyond the last parameter

    def __bool__(self) -> bool:
        return bool(self.unknown or self.missing or self.doubled or self.surplus)

    def __str__(self) -> str:
        many = "argument" if self.surplus == 1 else "arguments"
        parts = [
            f"no parameter {', '.join(self.unknown)}" if self.unknown else "",
            f"nothing for {', '.join(self.missing)}" if self.missing else "",
            f"{', '.join(self.doubled)} given twice" if self.doubled else "",
            f"{self.surplus} positional {many} too many" if self.surplus else "",
        ]
        return "; ".join(part for part in parts if part)


def bind(given: Arguments, parameters: Sequence[Parameter], *, whole: bool = True) -> Misfit:
    """How a call fails to bind; ``*arguments`` and ``**keywords`` of it are taken to fit. Not ``whole``: more may be
    given later, so that nothing is missing yet."""
    kinds = {each.kind for each in parameters}
    positional = [each.name for each in parameters if each.kind in _BY_POSITION]
    named = {each.name for each in parameters if each.kind in _BY_KEYWORD}
    taken = positional[: given.positional] if not given.starred else []
    required = [each.name for each in parameters if each.required and not each.kind.startswith("VAR_")]
    open_ended = given.starred or given.spread or not whole
    filled = {*taken, *given.keywords}
    return Misfit(
        unknown=() if "VAR_KEYWORD" in kinds else tuple(name for name in given.keywords if name not in named),
        missing=() if open_ended else tuple(name for name in required if name not in filled),
        doubled=tuple(name for name in given.keywords if name in taken and name in named),
        surplus=0 if "VAR_POSITIONAL" in kinds else max(0, given.positional - len(positional)),
    )


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
