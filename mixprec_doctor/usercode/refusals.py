"""Refusals: a call whose function certainly raises at once, for the arguments that stand in the code."""

from __future__ import annotations

__all__ = ["Refusal", "find_refusal", "refusal_of"]

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from mixprec_doctor.source.exports import Exports, Found
from mixprec_doctor.source.module import ParsedModule
from mixprec_doctor.source.truth import Truth

_PLAIN = (ast.Constant,)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A ``raise`` that a call is certain to reach."""

    function: str
    module: str
    line: int
    exception: str  # "ValueError"
    message: str
    names: tuple[str, ...]  # names of the module that decide it


def find_refusal(call: ast.Call, found: Found, exports: Exports) -> Refusal | None:
    """The first ``if ...: raise`` of the called function that holds; None where nothing is certain."""
    given = {}
    if isinstance(found.node, ast.FunctionDef):
        parameters = [each.arg for each in (*found.node.args.posonlyargs, *found.node.args.args)]
        given = {
            name: value.value for name, value in zip(parameters, call.args, strict=False) if isinstance(value, _PLAIN)
        } | {word.arg: word.value.value for word in call.keywords if word.arg and isinstance(word.value, _PLAIN)}
    return refusal_of(found, given, exports)


def refusal_of(found: Found, given: Mapping[str, object], exports: Exports) -> Refusal | None:
    """As ``find_refusal``, for values of parameters by name."""
    parsed = exports.sources.module(found.module)
    if parsed is None or not isinstance(found.node, ast.FunctionDef):
        return None
    function = parsed.whole(found.node)
    rebound = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    values = {name: value for name, value in given.items() if name not in rebound}
    for statement in function.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # the docstring
        if not isinstance(statement, ast.If):
            return None  # what runs before may change everything
        locals_ = {node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)} & rebound
        holds = Truth.UNKNOWN if locals_ else exports.conditions.truth(statement.test, parsed, values)
        if holds is Truth.UNKNOWN:
            return None
        last = statement.body[-1]
        if holds is Truth.YES:
            return _refusal(last, statement, found, parsed, values) if isinstance(last, ast.Raise) else None
    return None


def _refusal(
    statement: ast.Raise, test: ast.If, found: Found, parsed: ParsedModule, given: Mapping[str, object]
) -> Refusal:
    raised = statement.exc
    name = raised.func if isinstance(raised, ast.Call) else raised
    message = _text(raised.args[0], given) if isinstance(raised, ast.Call) and raised.args else ""
    names = [node.id for node in ast.walk(test.test) if isinstance(node, ast.Name) and node.id not in given]
    return Refusal(
        function=found.name,
        module=found.module,
        line=statement.lineno,
        exception=ast.unparse(name) if name is not None else "an exception",
        message=message,
        names=tuple(each for each in dict.fromkeys(names) if each in parsed.by_name),
    )


def _text(node: ast.expr, given: Mapping[str, object]) -> str:
    """The words of a message, as far as they stand there."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(each, given) for each in node.values)
    if isinstance(node, ast.FormattedValue):
        inner = node.value
        known = isinstance(inner, ast.Name) and inner.id in given
        return str(given[inner.id]) if known and isinstance(inner, ast.Name) else "..."
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, given) + _text(node.right, given)
    return "..."
