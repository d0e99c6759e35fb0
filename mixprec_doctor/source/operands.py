"""Operands: what stands for values that reading does not know in full, and how they compare."""

from __future__ import annotations

__all__ = ["OPEN", "THERE", "Change", "Table", "change_of", "compared", "truth_of"]

import ast
import operator
import re
from collections.abc import Callable
from enum import Enum
from typing import Any

from mixprec_doctor.source.module import ParsedModule
from mixprec_doctor.source.truth import Truth

OPEN = object()  # not decided
THERE = object()  # a module, class or function: true and not None, nothing more is known
_PLAIN = (str, int, float, bool, tuple, type(None))
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda one, other: one in other, ast.NotIn: lambda one, other: one not in other,
}  # fmt: skip
_ADDS = rb"\b%s(?:\[[^\]]*\]\s*=[^=]|\.(?:update|setdefault|append|extend|add|insert)\()"
_TAKES = rb"\b%s\.(?:pop|popitem|remove|discard|clear|\w+_update)\(|\bdel[ \t]+%s\["


class Table(tuple[object, ...]):
    """What a container holds that can be added to later: good for ``in``, and equal to nothing."""

    has_more: bool = False  # statements of the module do add to it


class Change(Enum):
    """What the statements of a module do to a container after they bound it."""

    NONE = "none"
    ADDS = "adds"
    TAKES = "takes"


def change_of(name: str, parsed: ParsedModule) -> Change:
    """What statements outside of functions do to a container."""
    text = parsed.outline.source if parsed.outline else parsed.source
    plain = re.escape(name).encode()
    if re.search(_TAKES % (plain, plain), text):
        return Change.TAKES
    return Change.ADDS if re.search(_ADDS % plain, text) else Change.NONE


def compared(op: ast.cmpop, one: object, other: object) -> Truth:
    """How two values compare, as far as they are known."""
    if one is OPEN or other is OPEN:
        return Truth.UNKNOWN
    if one is THERE or other is THERE:
        known = isinstance(op, (ast.Is, ast.IsNot)) and (one is None or other is None)
        return Truth.of(isinstance(op, ast.IsNot)) if known else Truth.UNKNOWN
    if not isinstance(one, _PLAIN) or not isinstance(other, _PLAIN):
        return Truth.UNKNOWN
    if isinstance(one, Table) or (isinstance(other, Table) and not isinstance(op, (ast.In, ast.NotIn))):
        return Truth.UNKNOWN
    if isinstance(other, Table) and (other.has_more or not other) and one not in other:
        return Truth.UNKNOWN  # an empty one is there to be filled
    if isinstance(op, (ast.Is, ast.IsNot)) and not (one is None or other is None or isinstance(one, bool)):
        return Truth.UNKNOWN
    try:
        return Truth.of(bool(_COMPARE[type(op)](one, other)))
    except TypeError:
        return Truth.UNKNOWN


def truth_of(value: object) -> Truth:
    """Whether a value is true."""
    if value is OPEN or (isinstance(value, Table) and not value):
        return Truth.UNKNOWN
    return Truth.YES if value is THERE else Truth.of(bool(value))
