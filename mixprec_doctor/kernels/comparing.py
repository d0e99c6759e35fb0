"""Comparing: equality, order, membership, parts and texts of values, with unknown as a third answer."""

from __future__ import annotations

__all__ = ["compare", "contains", "equal", "instance_truth", "item", "string"]

import ast
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mixprec_doctor.kernels.objects import attribute, find_in_class, is_enum
from mixprec_doctor.kernels.values import Class, External, Instance, Raised, Unknown, is_plain, text_of

if TYPE_CHECKING:
    from mixprec_doctor.kernels.evaluator import Evaluator

_ORDER: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}
_DUNDER = {ast.Lt: "__lt__", ast.LtE: "__le__", ast.Gt: "__gt__", ast.GtE: "__ge__"}


def equal(ev: Evaluator, one: object, other: object) -> object:
    """``one == other``: true, false or unknown."""
    if one is other:
        return True
    if isinstance(one, Unknown) or isinstance(other, Unknown):
        return Unknown(f"{text_of(one)} == {text_of(other)}")
    if isinstance(one, Instance) or isinstance(other, Instance):
        return _equal_instances(ev, one, other)
    if isinstance(one, External) and isinstance(other, External):
        return ev.outside.same(one.name, other.name)
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        if type(one) is not type(other) or len(one) != len(other):
            return False
        return _all_equal(ev, zip(one, other, strict=True))
    if is_plain(one) and is_plain(other):
        return bool(one == other)
    if isinstance(one, External) or isinstance(other, External):
        plain = one if is_plain(one) else other
        known = plain is None or isinstance(plain, (bool, int, tuple))
        return False if known else Unknown(f"{text_of(one)} == {text_of(other)}")
    return False


def _all_equal(ev: Evaluator, pairs: Any) -> object:  # noqa: ANN401  an iterable of pairs
    unsure: object = True
    for one, other in pairs:
        answer = equal(ev, one, other)
        if answer is False:
            return False
        if isinstance(answer, Unknown):
            unsure = answer
    return unsure


def _equal_instances(ev: Evaluator, one: object, other: object) -> object:
    left, right = (one, other) if isinstance(one, Instance) else (other, one)
    if not isinstance(left, Instance):
        return False
    if left.of is not None and is_enum(left.of):
        if isinstance(right, Instance):
            return left.of is right.of and left.attributes["name"] == right.attributes.get("name")
        mixed = {"str", "int", "IntEnum", "StrEnum"} & left.of.bases
        return equal(ev, left.attributes["value"], right) if mixed else False
    if left.order is not None and isinstance(right, (tuple, Instance)):
        parts = list(ev.iterate(right)) if isinstance(right, tuple) or right.order is not None else []
        mine = list(ev.iterate(left))
        return _all_equal(ev, zip(mine, parts, strict=True)) if len(parts) == len(mine) else False
    if isinstance(right, Instance) and left.compared and right.compared:
        if left.of is not right.of:
            return False
        return _all_equal(ev, ((left.attributes[key], right.attributes.get(key)) for key in left.attributes))
    if left.open or (isinstance(right, Instance) and right.open):
        return False if right is None or is_plain(right) else Unknown(f"{text_of(one)} == {text_of(other)}")
    return False


def compare(ev: Evaluator, op: ast.cmpop, one: object, other: object) -> object:
    """What one comparison gives: true, false or unknown."""
    if isinstance(op, (ast.Eq, ast.NotEq)):
        answer = equal(ev, one, other)
        if isinstance(op, ast.Eq):
            return answer
        return answer.derived("not ({})") if isinstance(answer, Unknown) else not answer
    if isinstance(op, (ast.Is, ast.IsNot)):
        answer = _same(ev, one, other)
        if isinstance(op, ast.Is):
            return answer
        return Unknown(answer.text.replace(" is ", " is not ", 1)) if isinstance(answer, Unknown) else not answer
    if isinstance(op, (ast.In, ast.NotIn)):
        answer = contains(ev, other, one)
        if isinstance(op, ast.In):
            return answer
        return answer.derived("not ({})") if isinstance(answer, Unknown) else not answer
    sign, work = _ORDER[type(op)]
    if isinstance(one, Instance) and one.of is not None and find_in_class(one.of, _DUNDER[type(op)]) is not None:
        return ev.method(one, _DUNDER[type(op)], other)
    if isinstance(one, Instance) and one.order is not None:
        one = tuple(ev.iterate(one))
    if isinstance(other, Instance) and other.order is not None:
        other = tuple(ev.iterate(other))
    one, other = _number(one), _number(other)
    if is_plain(one) and is_plain(other):
        try:
            return work(one, other)
        except TypeError as fault:
            raise Raised("TypeError", str(fault)) from None
    return Unknown(f"{text_of(one)} {sign} {text_of(other)}")


def _number(value: object) -> object:
    """The value of a member of an enum of numbers, which is ordered by it; anything else as it is."""
    if isinstance(value, Instance) and value.of is not None and {"int", "IntEnum"} & value.of.bases:
        return value.attributes.get("value", value)
    return value


def _same(ev: Evaluator, one: object, other: object) -> object:
    if one is other:
        return True
    if isinstance(one, Unknown) or isinstance(other, Unknown):
        return Unknown(f"{text_of(one)} is {text_of(other)}")
    if one is None or other is None or isinstance(one, bool) or isinstance(other, bool):
        return False
    return equal(ev, one, other)


def contains(ev: Evaluator, whole: object, part: object) -> object:
    """``part in whole``."""
    if isinstance(whole, str) and isinstance(part, str):
        return part in whole
    if isinstance(whole, range) and isinstance(part, int):
        return part in whole
    if whole is None or isinstance(whole, (bool, int, float)):
        raise Raised("TypeError", f"argument of type '{type(whole).__name__}' is not iterable")
    if not isinstance(whole, (tuple, list, set, frozenset, dict)) and not (
        isinstance(whole, Class) or (isinstance(whole, Instance) and whole.order is not None)
    ):
        return Unknown(f"{text_of(part)} in {text_of(whole)}")
    unsure: object = False
    for each in ev.iterate(whole):
        answer = equal(ev, part, each)
        if answer is True:
            return True
        if isinstance(answer, Unknown):
            unsure = Unknown(f"{text_of(part)} in {text_of(whole)}")
    return unsure


def item(ev: Evaluator, whole: object, key: object) -> object:
    """``whole[key]``."""
    if isinstance(whole, Instance) and whole.order is not None:
        whole = tuple(ev.iterate(whole))
    if isinstance(whole, Class):
        if is_enum(whole) and isinstance(key, str):
            return attribute(ev, whole, key)
        return whole  # Generic[T]
    if isinstance(whole, dict):
        for name, each in whole.items():
            answer = equal(ev, name, key)
            if answer is True:
                return each
            if isinstance(answer, Unknown):
                return Unknown(f"[{text_of(key)}]")
        raise Raised("KeyError", string(ev, key))
    if isinstance(whole, (tuple, list, str, range)) and isinstance(key, (int, slice)):
        try:
            return whole[key]
        except IndexError as fault:
            raise Raised("IndexError", str(fault)) from None
    if isinstance(whole, Instance) and whole.of is not None and find_in_class(whole.of, "__getitem__") is not None:
        return ev.method(whole, "__getitem__", key)
    return Unknown(f"{text_of(whole)}[{text_of(key)}]")


def instance_truth(ev: Evaluator, value: Instance) -> bool:
    """Whether an object counts as true."""
    if value.order is not None:
        return bool(value.order)
    if value.of is not None:
        for name in ("__bool__", "__len__"):
            if find_in_class(value.of, name) is not None:
                return ev.truth(ev.method(value, name))
        if is_enum(value.of) and {"int", "IntEnum"} & value.of.bases:
            return ev.truth(value.attributes["value"])
    return True


def string(ev: Evaluator, value: object, *, quoted: bool = False) -> str:
    """``str(value)``, as a message of the source would show it."""
    if isinstance(value, Unknown):
        return f"<{value.text}>"
    if isinstance(value, str):
        return repr(value) if quoted else value
    if isinstance(value, Instance):
        if value.of is not None and is_enum(value.of):
            return value.name
        for name in ("__repr__",) if quoted else ("__str__", "__repr__"):
            if value.of is not None and find_in_class(value.of, name) is not None:
                shown = ev.method(value, name)
                return shown if isinstance(shown, str) else text_of(value)
        if value.compared and value.of is not None:
            inside = ", ".join(f"{key}={string(ev, each, quoted=True)}" for key, each in value.attributes.items())
            return f"{value.of.name}({inside})"
        return text_of(value)
    if isinstance(value, (tuple, list)):
        inside = ", ".join(string(ev, each, quoted=True) for each in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    return str(value) if is_plain(value) else text_of(value)
