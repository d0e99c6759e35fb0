"""Statements: what each kind of statement does to the names of its function."""

from __future__ import annotations

__all__ = ["METHODS", "Returned", "assign"]

import ast
import builtins
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mixprec_doctor.kernels import comparing, objects
from mixprec_doctor.kernels.expressions import combine
from mixprec_doctor.kernels.values import Class, External, Function, Instance, Raised, Unknown
from mixprec_doctor.source.lineage import last_name
from mixprec_doctor.source.module import caught

if TYPE_CHECKING:
    from mixprec_doctor.kernels.evaluator import Evaluator, Frame

_MOST_ROUNDS = 512


class Returned(Exception):
    """A function returns."""

    def __init__(self, value: object) -> None:
        self.value = value


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


def assign(ev: Evaluator, target: ast.expr, value: object, frame: Frame) -> None:
    """Bind a target, parts of tuples included."""
    if isinstance(target, ast.Name):
        frame.names[target.id] = value
    elif isinstance(target, (ast.Tuple, ast.List)):
        _unpack(ev, target.elts, value, frame)
    elif isinstance(target, ast.Attribute):
        objects.set_attribute(ev.value(target.value, frame), target.attr, value)
    elif isinstance(target, ast.Subscript):
        whole, key = ev.value(target.value, frame), ev.value(target.slice, frame)
        if isinstance(whole, dict):
            whole.update({} if isinstance(key, (list, dict)) else {key: value})
        elif isinstance(whole, list) and isinstance(key, int) and -len(whole) <= key < len(whole):
            whole[key] = value


def _unpack(ev: Evaluator, targets: Sequence[ast.expr], value: object, frame: Frame) -> None:
    if isinstance(value, Unknown) or not isinstance(value, (tuple, list, str, range, set, frozenset, Instance)):
        for index, each in enumerate(targets):
            inner = each.value if isinstance(each, ast.Starred) else each
            open_ = Unknown(f"{value.text}[{index}]") if isinstance(value, Unknown) else Unknown("an element")
            assign(ev, inner, open_, frame)
        return
    parts = list(ev.iterate(value))
    starred = next((at for at, each in enumerate(targets) if isinstance(each, ast.Starred)), None)
    if starred is not None:
        after = len(targets) - starred - 1
        middle = parts[starred : len(parts) - after]
        parts = [*parts[:starred], middle, *parts[len(parts) - after :]]
    if len(parts) != len(targets):
        if isinstance(value, Instance):
            parts = [Unknown("an element")] * len(targets)
        else:
            raise Raised("ValueError", f"{len(parts)} values for {len(targets)} names")
    for each, part in zip(targets, parts, strict=True):
        assign(ev, each.value if isinstance(each, ast.Starred) else each, part, frame)


def _assigned(ev: Evaluator, node: ast.Assign, frame: Frame) -> None:
    value = ev.value(node.value, frame)
    for target in node.targets:
        assign(ev, target, value, frame)


def _annotated(ev: Evaluator, node: ast.AnnAssign, frame: Frame) -> None:
    if node.value is not None:
        assign(ev, node.target, ev.value(node.value, frame), frame)


def _augmented(ev: Evaluator, node: ast.AugAssign, frame: Frame) -> None:
    before = ev.value(node.target, frame)
    assign(ev, node.target, combine(ev, node.op, before, ev.value(node.value, frame)), frame)


def _alone(ev: Evaluator, node: ast.Expr, frame: Frame) -> None:
    if not isinstance(node.value, ast.Constant):
        ev.value(node.value, frame)


def _if(ev: Evaluator, node: ast.If, frame: Frame) -> None:
    test = ev.value(node.test, frame)
    if isinstance(test, Unknown) and not node.orelse and _only_talks(node.body):
        return
    ev.run(node.body if ev.truth(test) else node.orelse, frame)


def _only_talks(body: Sequence[ast.stmt]) -> bool:
    """Whether statements only log: whether they run makes no difference."""
    return all(
        isinstance(each, ast.Expr)
        and isinstance(each.value, ast.Call)
        and isinstance(each.value.func, ast.Attribute)
        and last_name(each.value.func.value) in ("logger", "warnings", "logging")
        for each in body
    )


def _return(ev: Evaluator, node: ast.Return, frame: Frame) -> None:
    raise Returned(ev.value(node.value, frame) if node.value is not None else None)


def _raise(ev: Evaluator, node: ast.Raise, frame: Frame) -> None:
    if node.exc is None:
        raise Raised("Exception", "raised again")
    name, message = last_name(node.exc), ""
    if isinstance(node.exc, ast.Call):
        words = [ev.value(each, frame) for each in node.exc.args if not isinstance(each, ast.Starred)]
        message = ", ".join(comparing.string(ev, each) for each in words)
    elif isinstance(node.exc, ast.Name) and isinstance(found := frame.names.get(node.exc.id), External):
        name, _, message = found.name.partition(": ")
    raise Raised(name or "Exception", message)


def _assert(ev: Evaluator, node: ast.Assert, frame: Frame) -> None:
    """What is asserted of something unknown is taken to hold."""
    value = ev.value(node.test, frame)
    if not isinstance(value, Unknown) and not ev.truth(value):
        words = ev.value(node.msg, frame) if node.msg is not None else frame.parsed.text(node.test)
        raise Raised("AssertionError", comparing.string(ev, words))


def _for(ev: Evaluator, node: ast.For, frame: Frame) -> None:
    given = ev.value(node.iter, frame)
    try:
        for count, element in enumerate(ev.iterate(given)):
            if count > _MOST_ROUNDS:
                break
            assign(ev, node.target, element, frame)
            try:
                ev.run(node.body, frame)
            except _Continue:
                continue
    except _Break:
        return
    ev.run(node.orelse, frame)


def _while(ev: Evaluator, node: ast.While, frame: Frame) -> None:
    try:
        for _ in range(_MOST_ROUNDS):
            test = ev.value(node.test, frame)
            known = not isinstance(test, Unknown)
            if not ev.truth(test):
                break
            try:
                ev.run(node.body, frame)
            except _Continue:
                continue
            if not known:
                break
    except _Break:
        return


def _break(ev: Evaluator, node: ast.Break, frame: Frame) -> None:
    raise _Break


def _continue(ev: Evaluator, node: ast.Continue, frame: Frame) -> None:
    raise _Continue


def _try(ev: Evaluator, node: ast.Try, frame: Frame) -> None:
    try:
        try:
            ev.run(node.body, frame)
        except Raised as fault:
            handler = next((each for each in node.handlers if _takes(each, fault.name)), None)
            if handler is None:
                raise
            if handler.name:
                frame.names[handler.name] = External(f"{fault.name}: {fault.message}")
            try:
                ev.run(handler.body, frame)
            except Raised as inner:
                if inner.message == "raised again":
                    raise fault from None
                raise
        else:
            ev.run(node.orelse, frame)
    finally:
        ev.run(node.finalbody, frame)


def _takes(handler: ast.ExceptHandler, name: str) -> bool:
    """Whether an ``except`` takes an exception, by Python's own classes where both are among them."""
    raised = getattr(builtins, name, Exception)
    for each in caught(handler.type):
        known = getattr(builtins, each, None)
        if each == name or (
            isinstance(known, type) and isinstance(raised, type) and issubclass(raised, known)  # its own name aside
        ):
            return True
    return False


def _with(ev: Evaluator, node: ast.With, frame: Frame) -> None:
    for item in node.items:
        given = ev.value(item.context_expr, frame)
        if item.optional_vars is not None:
            assign(ev, item.optional_vars, given if isinstance(given, Instance) else Unknown("a context"), frame)
    ev.run(node.body, frame)


def _function(ev: Evaluator, node: ast.FunctionDef, frame: Frame) -> None:
    around = {**(frame.around or {}), **frame.names}
    made = Function(name=node.name, node=node, parsed=frame.parsed, around=around, home=frame.home)
    around[node.name] = made
    frame.names[node.name] = made


def _class(ev: Evaluator, node: ast.ClassDef, frame: Frame) -> None:
    made: Class = ev.class_of(node, frame.parsed)
    frame.names[node.name] = made


def _import(ev: Evaluator, node: ast.Import, frame: Frame) -> None:
    for alias in node.names:
        value = ev.names.imported(alias.name, bound=alias.asname)
        frame.names[alias.asname or alias.name.partition(".")[0]] = value


def _import_from(ev: Evaluator, node: ast.ImportFrom, frame: Frame) -> None:
    target = frame.parsed.absolute(node)
    for alias in node.names:
        name = alias.asname or alias.name
        frame.names[name] = Unknown(name) if target is None else ev.names.imported(target, alias.name)


def _delete(ev: Evaluator, node: ast.Delete, frame: Frame) -> None:
    for target in node.targets:
        if isinstance(target, ast.Name):
            frame.names.pop(target.id, None)
        elif isinstance(target, ast.Attribute):
            objects.set_attribute(ev.value(target.value, frame), target.attr, Unknown(f"{target.attr}, deleted"))


METHODS: dict[type[ast.stmt], Callable[[Evaluator, Any, Frame], None]] = {
    ast.Assign: _assigned,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Expr: _alone,
    ast.If: _if,
    ast.Return: _return,
    ast.Raise: _raise,
    ast.Assert: _assert,
    ast.For: _for,
    ast.While: _while,
    ast.Break: _break,
    ast.Continue: _continue,
    ast.Try: _try,
    ast.With: _with,
    ast.FunctionDef: _function,
    ast.ClassDef: _class,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Delete: _delete,
}
