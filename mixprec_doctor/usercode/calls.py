"""Calls held against signatures: what Python would refuse before the called thing even runs."""

from __future__ import annotations

__all__ = ["Arguments", "Misfit", "abbreviates", "arguments_of", "bind", "misfit"]

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from mixprec_doctor.records.resolution import Parameter

_BY_POSITION = frozenset({"POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD"})
_BY_KEYWORD = frozenset({"KEYWORD_ONLY", "POSITIONAL_OR_KEYWORD"})


@dataclass(frozen=True)
class Arguments:
    """What a call gives; ``spread`` for ``**words``, ``starred`` for ``*arguments``."""

    positional: int = 0
    starred: bool = False
    keywords: tuple[str, ...] = ()
    spread: bool = False


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


def misfit(call: ast.Call, parameters: Sequence[Parameter]) -> Misfit:
    """How a call fails to bind; ``*arguments`` and ``**keywords`` of it are taken to fit."""
    return bind(arguments_of(call), parameters)


def arguments_of(node: ast.Call, *, skip: int = 0) -> Arguments:
    """What a call gives, the first arguments left out."""
    given = node.args[skip:]
    return Arguments(
        positional=sum(not isinstance(each, ast.Starred) for each in given),
        starred=any(isinstance(each, ast.Starred) for each in given),
        keywords=tuple(word.arg for word in node.keywords if word.arg is not None),
        spread=any(word.arg is None for word in node.keywords),
    )


def abbreviates(short: str, long: str) -> bool:
    """Whether ``tp_size`` stands for ``tensor_parallel_size``: the same words, some given by their first letters."""
    return len(short) < len(long) and _fits(short.split("_"), long.split("_"))


def _fits(short: list[str], long: list[str]) -> bool:
    if not short or not long:
        return not short and not long
    head, rest = short[0], short[1:]
    if head == long[0]:
        return _fits(rest, long[1:])
    initials = "".join(word[:1] for word in long[: len(head)])
    return len(head) > 1 and head == initials and _fits(rest, long[len(head) :])
