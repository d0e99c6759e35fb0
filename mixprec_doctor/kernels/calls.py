"""Calls: functions, classes and methods of the source, called with values that are known or not."""

from __future__ import annotations

__all__ = ["call"]

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixprec_doctor.kernels import objects
from mixprec_doctor.kernels.statements import Returned
from mixprec_doctor.kernels.values import Bound, Builtin, Class, External, Function, Instance, Raised, Unknown, text_of

if TYPE_CHECKING:
    from mixprec_doctor.kernels.evaluator import Evaluator, Frame


def call(ev: Evaluator, callee: object, given: list[Any], words: dict[str, Any]) -> object:
    """What a call gives."""
    if isinstance(callee, Function):
        if callee.name in ev.overrides:
            return ev.call(ev.overrides[callee.name], given, words)
        return _function(ev, callee, given, words, owner=given[0] if given and callee.home else None)
    if isinstance(callee, Bound):
        return _function(ev, callee.function, [callee.owner, *given], words, owner=callee.owner)
    if isinstance(callee, Class):
        return objects.make(ev, callee, given, words)
    if isinstance(callee, Builtin):
        return callee.work(given, words)
    if isinstance(callee, External):
        return ev.outside.call(ev, callee.name, given, words)
    if isinstance(callee, Instance):
        return _instance(ev, callee, given, words)
    return Unknown(f"{text_of(callee)}({_shown(given, words)})")


def _shown(given: list[Any], words: Mapping[str, Any]) -> str:
    texts = [text_of(each) for each in given] + [f"{key}={text_of(each)}" for key, each in words.items()]
    text = ", ".join(texts)
    return text if len(text) <= 40 else "..."


def _instance(ev: Evaluator, callee: Instance, given: list[Any], words: dict[str, Any]) -> object:
    """An object that is called: its ``__call__``, or ``forward`` of a module of torch."""
    if callee.of is not None:
        for name in ("__call__", "forward"):
            if objects.find_in_class(callee.of, name) is not None:
                return ev.call(objects.attribute(ev, callee, name), given, words)
    return Unknown(f"{text_of(callee)}({_shown(given, words)})")


def _function(ev: Evaluator, function: Function, given: list[Any], words: dict[str, Any], *, owner: object) -> object:
    """What a function of the source returns."""
    from mixprec_doctor.kernels.evaluator import Frame as NewFrame

    frame = NewFrame(function.parsed, names={}, around=function.around, home=function.home, owner=owner)
    _bind(ev, function, given, words, frame)
    if isinstance(function.node, ast.Lambda):
        return ev.value(function.node.body, frame)
    if isinstance(function.node, ast.AsyncFunctionDef) or ev.is_generator(function.node):
        return Unknown(f"{function.name}()")
    try:
        ev.run(function.node.body, frame)
    except Returned as found:
        return found.value
    return None


def _bind(ev: Evaluator, function: Function, given: list[Any], words: dict[str, Any], frame: Frame) -> None:
    """Give each parameter its argument or default; what Python would refuse raises a TypeError."""
    arguments = function.node.args
    places = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    names = frame.names
    names |= dict(zip(places, given, strict=False))
    if arguments.vararg is not None:
        names[arguments.vararg.arg] = tuple(given[len(places) :])
    elif len(given) > len(places):
        raise Raised("TypeError", f"{function.name}() takes {len(places)} arguments but {len(given)} were given")
    known = {*places, *(each.arg for each in arguments.kwonlyargs)}
    rest = {key: each for key, each in words.items() if key not in known}
    names |= {key: each for key, each in words.items() if key in known}
    if arguments.kwarg is not None:
        names[arguments.kwarg.arg] = rest
    elif rest:
        raise Raised("TypeError", f"{function.name}() got an unexpected keyword argument {next(iter(rest))!r}")
    outer = type(frame)(function.parsed, names=dict(function.around or {}), home=function.home)
    for name, default in zip(reversed(places), reversed(arguments.defaults), strict=False):
        if name not in names:
            names[name] = ev.value(default, outer)
    for each, kept in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if each.arg not in names and kept is not None:
            names[each.arg] = ev.value(kept, outer)
    missing = [name for name in known if name not in names]
    if missing:
        raise Raised("TypeError", f"{function.name}() missing argument {sorted(missing)[0]!r}")
