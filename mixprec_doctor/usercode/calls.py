"""Calls held against signatures: what Python would refuse before the called thing even runs."""

from __future__ import annotations

__all__ = ["Misfit", "abbreviates", "misfit"]

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from mixprec_doctor.records.resolution import Parameter

_BY_POSITION = frozenset({"POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD"})
_BY_KEYWORD = frozenset({"KEYWORD_ONLY", "POSITIONAL_OR_KEYWORD"})


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """Why a call does not bind to a signature. All empty: it binds."""

    unknown: tuple[str, ...] = ()  # keywords that there is no parameter for
    missing: tuple[str, ...] = ()  # required parameters that get nothing
    doubled: tuple[str, ...] = ()  # parameters given by position and by keyword
    surplus: int = 0  # positional arguments beyond the last parameter

    def __bool__(self) -> bool:
        return bool(self.unknown or self.missing or self.doubled or self.surplus)

    def __str__(self) -> str:
        parts = [
            f"no parameter {', '.join(self.unknown)}" if self.unknown else "",
            f"nothing for {', '.join(self.missing)}" if self.missing else "",
            f"{', '.join(self.doubled)} given twice" if self.doubled else "",
            f"{self.surplus} positional arguments too many" if self.surplus else "",
        ]
        return "; ".join(part for part in parts if part)


def misfit(call: ast.Call, parameters: Sequence[Parameter]) -> Misfit:
    """How a call fails to bind; ``*arguments`` and ``**keywords`` of the call are taken to fit."""
    kinds = {each.kind for each in parameters}
    starred = any(isinstance(each, ast.Starred) for each in call.args)
    spread = any(word.arg is None for word in call.keywords)
    positional = [each.name for each in parameters if each.kind in _BY_POSITION]
    named = {each.name for each in parameters if each.kind in _BY_KEYWORD}
    given = [word.arg for word in call.keywords if word.arg is not None]
    taken = positional[: len(call.args)] if not starred else []
    required = [each.name for each in parameters if each.required and not each.kind.startswith("VAR_")]
    return Misfit(
        unknown=() if "VAR_KEYWORD" in kinds else tuple(name for name in given if name not in named),
        missing=() if starred or spread else tuple(name for name in required if name not in {*taken, *given}),
        doubled=tuple(name for name in given if name in taken and name in named),
        surplus=0 if starred or "VAR_POSITIONAL" in kinds else max(0, len(call.args) - len(positional)),
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
