"""Expressions: the value of each kind of expression."""

from __future__ import annotations

__all__ = ["METHODS"]

import ast
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mixprec_doctor.kernels import comparing, objects
from mixprec_doctor.kernels.values import Function, Raised, Unknown, is_plain, text_of

if TYPE_CHECKING:
    from mixprec_doctor.kernels.evaluator import Evaluator, Frame

_BINARY: dict[type[ast.operator], tuple[str, Callable[[Any, Any], object]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.LShift: ("<<", operator.lshift),
    ast.RShift: (">>", operator.rshift),
    ast.BitOr: ("|", operator.or_),
    ast.BitAnd: ("&", operator.and_),
    ast.BitXor: ("^", operator.xor),
}
_UNARY: dict[type[ast.unaryop], tuple[str, Callable[[Any], object]]] = {
    ast.USub: ("-", operator.neg),
    ast.UAdd: ("+", operator.pos),
    ast.Invert: ("~", operator.invert),
}
_LARGEST = 2**200
_MOST_ELEMENTS = 4096


def _constant(ev: Evaluator, node: ast.Constant, frame: Frame) -> object:
    return node.value


def _name(ev: Evaluator, node: ast.Name, frame: Frame) -> object:
    if node.id in frame.names:
        return frame.names[node.id]
    if frame.around is not None and node.id in frame.around:
        return frame.around[node.id]
    return ev.names.look_up(frame.parsed.name, node.id)


def _attribute(ev: Evaluator, node: ast.Attribute, frame: Frame) -> object:
    return ev.attribute(ev.value(node.value, frame), node.attr)


def _several(ev: Evaluator, node: ast.Tuple | ast.List | ast.Set, frame: Frame) -> object:
    values: list[object] = []
    for each in node.elts:
        if isinstance(each, ast.Starred):
            values += ev.iterate(ev.value(each.value, frame))
        else:
            values.append(ev.value(each, frame))
    return tuple(values) if isinstance(node, ast.Tuple) else values


def _dict(ev: Evaluator, node: ast.Dict, frame: Frame) -> object:
    made: dict[object, object] = {}
    for key, each in zip(node.keys, node.values, strict=True):
        if key is None:
            inner = ev.value(each, frame)
            if not isinstance(inner, dict):
                return Unknown(frame.parsed.text(node))
            made |= inner
            continue
        name = ev.value(key, frame)
        if isinstance(name, (list, dict, set)):
            return Unknown(frame.parsed.text(node))
        made[name] = ev.value(each, frame)
    return made


def _joined(ev: Evaluator, node: ast.BoolOp, frame: Frame) -> object:
    """The operand that decides, as Python gives it back."""
    wanted = isinstance(node.op, ast.Or)
    value: object = None
    for index, operand in enumerate(node.values):
        value = ev.value(operand, frame)
        if index == len(node.values) - 1:
            return value
        if isinstance(value, Unknown) and _decided_later(ev, node.values[index + 1 :], frame, wanted):
            return wanted
        if ev.truth(value) is wanted:
            return value
    return value


def _decided_later(ev: Evaluator, operands: list[ast.expr], frame: Frame, wanted: bool) -> bool:
    """Whether a later operand, plain to read, decides whatever the one before it is."""
    for operand in operands:
        if not isinstance(operand, (ast.Compare, ast.Name, ast.Attribute, ast.UnaryOp, ast.Constant)):
            return False
        try:
            value = ev.value(operand, frame)
        except Raised:
            return False
        if isinstance(value, bool) and value is wanted:
            return True
    return False


def _unary(ev: Evaluator, node: ast.UnaryOp, frame: Frame) -> object:
    value = ev.value(node.operand, frame)
    if isinstance(node.op, ast.Not):
        return not ev.truth(value)
    sign, work = _UNARY[type(node.op)]
    if not is_plain(value):
        return Unknown(f"{sign}{text_of(value)}")
    try:
        return work(value)
    except TypeError as fault:
        raise Raised("TypeError", str(fault)) from None


def _binary(ev: Evaluator, node: ast.BinOp, frame: Frame) -> object:
    return combine(ev, node.op, ev.value(node.left, frame), ev.value(node.right, frame))


def combine(ev: Evaluator, op: ast.operator, one: object, other: object) -> object:
    """What a binary operator gives, within reason; what Python would refuse raises."""
    if isinstance(op, ast.Pow):
        fits = isinstance(one, (int, float)) and isinstance(other, int) and 0 <= other <= 128
        return one**other if fits and isinstance(one, (int, float)) and isinstance(other, int) else Unknown("**")
    if type(op) not in _BINARY:
        return Unknown("@")
    sign, work = _BINARY[type(op)]
    if isinstance(one, (list, tuple)) and type(one) is type(other) and isinstance(op, ast.Add):
        return [*one, *other] if isinstance(one, list) and isinstance(other, list) else (*one, *other)
    if not (is_plain(one) and is_plain(other)):
        return Unknown(f"{text_of(one)} {sign} {text_of(other)}")
    if isinstance(op, (ast.LShift, ast.Mult)) and not _small(one, other, op):
        return Unknown(f"{text_of(one)} {sign} {text_of(other)}")
    try:
        return work(one, other)
    except ZeroDivisionError as fault:
        raise Raised("ZeroDivisionError", str(fault)) from None
    except (TypeError, ValueError, OverflowError) as fault:
        raise Raised(type(fault).__name__, str(fault)) from None


def _small(one: object, other: object, op: ast.operator) -> bool:
    """Whether the result stays small: neither a huge number nor a long text."""
    if isinstance(op, ast.LShift):
        return isinstance(other, int) and 0 <= other < 200
    numbers = all(isinstance(each, (int, float)) for each in (one, other))
    if numbers:
        return all(abs(each) < _LARGEST for each in (one, other))  # type: ignore[arg-type]
    count = other if isinstance(other, int) else one
    return isinstance(count, int) and count <= _MOST_ELEMENTS


def _compare(ev: Evaluator, node: ast.Compare, frame: Frame) -> object:
    left = ev.value(node.left, frame)
    answer: object = True
    for op, each in zip(node.ops, node.comparators, strict=True):
        right = ev.value(each, frame)
        answer = comparing.compare(ev, op, left, right)
        if answer is False or (len(node.ops) > 1 and not ev.truth(answer)):
            return False
        left = right
    return answer


def _chosen(ev: Evaluator, node: ast.IfExp, frame: Frame) -> object:
    return ev.value(node.body if ev.truth(ev.value(node.test, frame)) else node.orelse, frame)


def _text(ev: Evaluator, node: ast.JoinedStr, frame: Frame) -> object:
    parts = []
    for each in node.values:
        if isinstance(each, ast.Constant):
            parts.append(str(each.value))
        elif isinstance(each, ast.FormattedValue):
            value = ev.value(each.value, frame)
            if isinstance(value, Unknown):
                parts.append(f"<{value.text}>")
            elif each.format_spec is None and each.conversion in (-1, 115):
                parts.append(comparing.string(ev, value))
            elif is_plain(value):
                spec = ev.value(each.format_spec, frame) if each.format_spec is not None else ""
                shown = repr(value) if each.conversion == 114 else value
                try:
                    parts.append(format(shown, spec if isinstance(spec, str) else ""))
                except (ValueError, TypeError):
                    parts.append(str(shown))
            else:
                parts.append(comparing.string(ev, value, quoted=each.conversion == 114))
    return "".join(parts)


def _part(ev: Evaluator, node: ast.Subscript, frame: Frame) -> object:
    whole, key = ev.value(node.value, frame), ev.value(node.slice, frame)
    return comparing.item(ev, whole, key)


def _slice(ev: Evaluator, node: ast.Slice, frame: Frame) -> object:
    ends = [ev.value(each, frame) if each else None for each in (node.lower, node.upper, node.step)]
    if all(each is None or isinstance(each, int) for each in ends):
        return slice(*ends)
    return Unknown("a slice")


def _call(ev: Evaluator, node: ast.Call, frame: Frame) -> object:
    if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
        return _above(frame)
    if isinstance(node.func, ast.Name) and node.func.id in ("locals", "globals"):
        return Unknown(f"{node.func.id}()")
    callee = ev.value(node.func, frame)
    given: list[Any] = []
    for each in node.args:
        if isinstance(each, ast.Starred):
            given += ev.iterate(ev.value(each.value, frame))
        else:
            given.append(ev.value(each, frame))
    words: dict[str, Any] = {}
    for keyword in node.keywords:
        value = ev.value(keyword.value, frame)
        if keyword.arg is not None:
            words[keyword.arg] = value
        elif isinstance(value, dict):
            words |= {key: each for key, each in value.items() if isinstance(key, str)}
    return ev.call(callee, given, words)


def _above(frame: Frame) -> object:
    """``super()``: an object that answers with what comes after the class in its owner's lineage."""
    if frame.home is None:
        return Unknown("super()")
    return objects.Above(home=frame.home, owner=frame.owner)


def _lambda(ev: Evaluator, node: ast.Lambda, frame: Frame) -> object:
    return Function(name="lambda", node=node, parsed=frame.parsed, around=_surroundings(frame), home=frame.home)


def _surroundings(frame: Frame) -> dict[str, object]:
    return {**(frame.around or {}), **frame.names}


def _comprehended(ev: Evaluator, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, frame: Frame) -> object:
    made = [ev.value(node.elt, inner) for inner in _rounds(ev, node.generators, frame)]
    return tuple(made) if isinstance(node, ast.GeneratorExp) else made


def _dict_comprehended(ev: Evaluator, node: ast.DictComp, frame: Frame) -> object:
    made = {}
    for inner in _rounds(ev, node.generators, frame):
        key = ev.value(node.key, inner)
        if isinstance(key, (list, dict)):
            return Unknown(frame.parsed.text(node))
        made[key] = ev.value(node.value, inner)
    return made


def _rounds(ev: Evaluator, generators: list[ast.comprehension], frame: Frame) -> Iterator[Frame]:
    from mixprec_doctor.kernels.evaluator import Frame as NewFrame
    from mixprec_doctor.kernels.statements import assign

    first, rest = generators[0], generators[1:]
    given = ev.value(first.iter, frame)
    for element in ev.iterate(given):
        inner = NewFrame(frame.parsed, names=dict(frame.names), around=frame.around, home=frame.home, owner=frame.owner)
        assign(ev, first.target, element, inner)
        if isinstance(given, Unknown) or all(ev.truth(ev.value(test, inner)) for test in first.ifs):
            if rest:
                yield from _rounds(ev, rest, inner)
            else:
                yield inner


def _walrus(ev: Evaluator, node: ast.NamedExpr, frame: Frame) -> object:
    frame.names[node.target.id] = value = ev.value(node.value, frame)
    return value


METHODS: dict[type[ast.expr], Callable[[Evaluator, Any, Frame], object]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Tuple: _several,
    ast.List: _several,
    ast.Set: _several,
    ast.Dict: _dict,
    ast.BoolOp: _joined,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Compare: _compare,
    ast.IfExp: _chosen,
    ast.JoinedStr: _text,
    ast.Subscript: _part,
    ast.Slice: _slice,
    ast.Call: _call,
    ast.Lambda: _lambda,
    ast.ListComp: _comprehended,
    ast.SetComp: _comprehended,
    ast.GeneratorExp: _comprehended,
    ast.DictComp: _dict_comprehended,
    ast.NamedExpr: _walrus,
}
