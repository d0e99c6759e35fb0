"""Refusals: a call that certainly ends in a ``raise`` of what it calls, for the arguments that stand in the code."""

from __future__ import annotations

__all__ = ["Refusal", "find_refusal", "refusal_of"]

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mixprec_doctor.rehearsal.taking import message_of, raised_name
from mixprec_doctor.source.exports import Exports, Found
from mixprec_doctor.source.expressions import OPEN, THERE
from mixprec_doctor.source.functions import bound_within, gives_its_result, local_names, touched
from mixprec_doctor.source.lineage import find_method
from mixprec_doctor.source.module import ParsedModule
from mixprec_doctor.source.truth import Truth

_ENDED = object()  # a return was, or may have been, reached

Names = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A ``raise`` that a call is certain to reach."""

    function: str
    module: str
    line: int
    exception: str  # "ValueError"
    message: str
    names: tuple[str, ...]  # names of the module that decide it
    arguments: tuple[str, ...]  # parameters that decide it


def find_refusal(call: ast.Call, found: Found, exports: Exports) -> Refusal | None:
    """The ``raise`` of a called function, or of a class's own ``__init__``; None where nothing is certain."""
    if any(isinstance(each, ast.Starred) for each in call.args) or any(word.arg is None for word in call.keywords):
        return None
    function = _function(found, exports)
    if function is None:
        return None
    parameters = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    if isinstance(found.node, ast.ClassDef):
        parameters = parameters[1:]
    given = {name: _argument(value) for name, value in zip(parameters, call.args, strict=False)}
    given |= {word.arg: _argument(word.value) for word in call.keywords if word.arg}
    return refusal_of(found, given, exports)


def refusal_of(found: Found, given: Mapping[str, object], exports: Exports) -> Refusal | None:
    """As ``find_refusal``, for values of parameters by name; those left out have their defaults."""
    parsed = exports.sources.module(found.module)
    function = _function(found, exports)
    if parsed is None or function is None:
        return None
    return _Walk(found, parsed, exports).refusal(function, given)


def _function(found: Found, exports: Exports) -> ast.FunctionDef | None:
    parsed = exports.sources.module(found.module)
    node = found.node
    if isinstance(node, ast.ClassDef):
        makes = node.keywords or find_method(node, "__new__") is not None  # it may not come to __init__
        node = None if makes else find_method(node, "__init__")
    whole = parsed.whole(node) if parsed is not None and isinstance(node, ast.FunctionDef) else None
    return whole if whole is not None and gives_its_result(whole) else None


def _argument(node: ast.expr) -> object:
    """The value of a plain argument; of a list or call no more than that it is there."""
    if isinstance(node, ast.Constant):
        return node.value
    elements = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
    spread = any(each is None or isinstance(each, ast.Starred) for each in elements)
    return THERE if elements and not spread else OPEN


class _Walk:
    """Follows the statements of one function as far as they are decided."""

    def __init__(self, found: Found, parsed: ParsedModule, exports: Exports) -> None:
        self._found = found
        self._parsed = parsed
        self._exports = exports
        self._tests: list[ast.expr] = []  # those that led to where the walk is
        self._parameters: set[str] = set()

    def refusal(self, function: ast.FunctionDef, given: Mapping[str, object]) -> Refusal | None:
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args]
        defaults: list[tuple[ast.arg, ast.expr | None]] = [
            *zip(reversed(named), reversed(arguments.defaults), strict=False),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]
        self._parameters = {each.arg for each in (*named, *arguments.kwonlyargs)}
        names: Names = dict.fromkeys(local_names(function), OPEN)
        for argument, default in defaults:
            if default is not None:
                names[argument.arg] = self._exports.conditions.value(default, self._parsed, {})
        names |= {name: value for name, value in given.items() if name in self._parameters}
        found = self._walk(function.body, names)
        return found if isinstance(found, Refusal) else None

    def _walk(self, body: Iterable[ast.stmt], names: Names) -> object:
        for statement in body:
            found = self._step(statement, names)
            if found is not None:
                return found
        return None

    def _step(self, statement: ast.stmt, names: Names) -> object:
        """A refusal, ``_ENDED``, or None where the next statement is reached."""
        if isinstance(statement, ast.Raise):
            return self._refused(statement, names)
        if isinstance(statement, ast.If):
            holds = self._exports.conditions.truth(statement.test, self._parsed, names)
            names |= dict.fromkeys([*touched(statement.test, names)], OPEN)
            if holds is not Truth.UNKNOWN:
                self._tests.append(statement.test)
                found = self._walk(statement.body if holds is Truth.YES else statement.orelse, names)
                if found is None:
                    self._tests.pop()
                return found
        elif isinstance(statement, ast.Assign):
            value = self._exports.conditions.value(statement.value, self._parsed, names)
            names |= dict.fromkeys([*bound_within(statement), *touched(statement, names)], OPEN)
            names |= {each.id: value for each in statement.targets if isinstance(each, ast.Name)}
            return None
        if any(isinstance(node, ast.Return) for node in ast.walk(statement)):
            return _ENDED
        names |= dict.fromkeys([*bound_within(statement), *touched(statement, names)], OPEN)
        return None

    def _refused(self, statement: ast.Raise, names: Names) -> Refusal:
        read = [node.id for test in self._tests for node in ast.walk(test) if isinstance(node, ast.Name)]
        return Refusal(
            function=self._found.name,
            module=self._found.module,
            line=statement.lineno,
            exception=_exception(statement),
            message=message_of(
                statement, lambda node: self._exports.conditions.value(node, self._parsed, names)
            ),
            names=tuple(each for each in dict.fromkeys(read) if each in self._parsed.by_name and each not in names),
            arguments=tuple(each for each in dict.fromkeys(read) if each in self._parameters),
        )  # fmt: skip


def _exception(statement: ast.Raise) -> str:
    """The name of what is raised, where that is a class."""
    name = raised_name(statement, None) or ""
    return name if name[:1].isupper() else "an exception"
