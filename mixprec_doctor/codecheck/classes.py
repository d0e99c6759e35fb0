"""Classes of the code: what they are built on, what they define, and whether something makes or extends them."""

from __future__ import annotations

__all__ = ["ClassReader", "parameters_of_function"]

import ast
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from typing import Literal

from mixprec_doctor.codecheck.lines import Text
from mixprec_doctor.codecheck.names import Names
from mixprec_doctor.codecheck.needs import Alternative, ClassNeed, Meaning, Method
from mixprec_doctor.codecheck.scopes import FileScopes, Scope, Site
from mixprec_doctor.source.lineage import last_name
from mixprec_doctor.usercode.calls import Arguments

_KEEPING = {
    "classmethod", "staticmethod", "property", "cached_property", "abstractmethod", "override", "final", "cache",
    "lru_cache", "no_grad", "inference_mode", "wraps", "setter", "getter", "deleter",
}  # fmt: skip
_PROPERTIES = {"property", "cached_property", "setter", "getter", "deleter"}
_PLAIN = {"dataclass", "final", "total_ordering", "runtime_checkable", "deprecated"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Kind = Literal["method", "classmethod", "staticmethod", "property", "other"]


@dataclass
class _Known:
    number: int
    need: ClassNeed | None = None
    is_base: bool = False
    is_made: bool = False


class ClassReader:
    """Collects the classes of all files: first their numbers, then what they are."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known: dict[int, _Known] = {}  # by the id of the node
        self._nodes: list[ast.ClassDef] = []  # keeps the ids
        self._calls: dict[str, set[Arguments]] = {}

    def called(self, method: str, given: Arguments) -> None:
        """Note a call of a method on something."""
        self._calls.setdefault(method, set()).add(given)

    def calls(self, needs: Iterable[ClassNeed], patched: Set[str]) -> dict[str, tuple[Arguments, ...]]:
        """What the code gives to methods that its classes define, and to names that it patches."""
        names = patched | {method.name for each in needs for method in each.methods}
        return {name: tuple(sorted(given, key=repr)) for name, given in self._calls.items() if name in names}

    def note(self, node: ast.ClassDef, scope: Scope) -> None:
        """Give a class its number."""
        self._known[id(node)] = _Known(len(self._nodes))
        self._nodes.append(node)

    def around(self, scope: Scope | None) -> int | None:
        """The class of the method that a scope is."""
        while scope is not None and scope.kind == "function" and scope.parent is not None:
            if scope.parent.kind == "class":
                known = self._known.get(id(scope.parent.node))
                return known.number if known else None
            scope = scope.parent
        return None

    def made(self, callee: ast.expr, scope: Scope, line: int) -> None:
        """Note that what is called is made, where it is a class of the code."""
        if isinstance(callee, (ast.Name, ast.Attribute)):
            for thing in self._names.things(callee, scope, line):
                if isinstance(thing.own, ast.ClassDef) and id(thing.own) in self._known:
                    self._known[id(thing.own)].is_made = True

    def read(self, site: Site, text: Text, scopes: FileScopes) -> None:
        """A class, its bases and what it defines."""
        node = site.statement
        if not isinstance(node, ast.ClassDef):
            return
        known = self._known[id(node)]
        bases = tuple(self._base(each, site.scope, node.lineno) for each in node.bases)
        for base in bases:
            if isinstance(base, int):
                self._known[id(self._nodes[base])].is_base = True
        inside = scopes.scopes[id(node)]
        methods = tuple(self._methods(node, text))
        known.need = ClassNeed(
            spot=text.spot(node), guards=site.guards, within=site.scope.function, name=node.name, number=known.number,
            bases=bases, methods=methods,
            others=tuple(name for name in inside.names if name not in {each.name for each in methods}),
            is_abstract=_is_abstract(node),
            dynamic=bool(node.keywords) or any(last_name(each) not in _PLAIN for each in node.decorator_list),
        )  # fmt: skip

    def needs(self) -> Iterator[ClassNeed]:
        """Every class that is built on something of a package, directly or over another one, and what they build on."""
        found = [each for each in self._known.values() if each.need is not None]
        wanted: set[int] = set()
        grown = True
        while grown:
            grown = False
            for each in found:
                if each.number in wanted or each.need is None:
                    continue
                if any((isinstance(base, tuple) and base) or base in wanted for base in each.need.bases):
                    wanted.add(each.number)
                    grown = True
        waiting = list(wanted)
        while waiting:
            need = self._known[id(self._nodes[waiting.pop()])].need
            for base in need.bases if need is not None else ():
                if isinstance(base, int) and base not in wanted:
                    wanted.add(base)
                    waiting.append(base)
        for each in found:
            if each.number in wanted and each.need is not None:
                yield replace(each.need, is_base=each.is_base, is_made=each.is_made)

    def _base(self, node: ast.expr, scope: Scope, line: int) -> Meaning | int | None:
        things = list(self._names.things(node, scope, line))
        if any(each.target is not None for each in things):
            return tuple(Alternative(each.target, each.guards, each.made) for each in things)
        own = [each.own for each in things]
        if len(own) == 1 and isinstance(own[0], ast.ClassDef) and id(own[0]) in self._known:
            return self._known[id(own[0])].number
        return () if last_name(node) in ("object", "ABC", "Generic", "Protocol") else None

    def _methods(self, node: ast.ClassDef, text: Text) -> Iterator[Method]:
        found: dict[str, Function] = {}
        for statement in _flat(node.body):
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                marks = {last_name(each) for each in statement.decorator_list}
                if "overload" not in marks and not {"setter", "deleter", "getter"} & marks:
                    found[statement.name] = statement
        for name, function in found.items():
            kind = _kind_of(function)
            parameters = parameters_of_function(function)
            yield Method(
                name=name, spot=text.spot(function), kind=kind,
                parameters=parameters[1:] if kind in ("method", "classmethod") else parameters,
                is_async=isinstance(function, ast.AsyncFunctionDef),
                certain=all(last_name(each) in _KEEPING for each in function.decorator_list),
                only_raises=_only_raises(function),
            )  # fmt: skip


def _only_raises(node: Function) -> bool:
    body = [each for each in node.body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]
    return len(body) == 1 and isinstance(body[0], ast.Raise)


def parameters_of_function(node: Function | ast.Lambda) -> tuple[tuple[str, str, bool], ...]:
    """Name, kind and whether it is required, of every parameter."""
    given = node.args
    plain = [(each.arg, "POSITIONAL_ONLY") for each in given.posonlyargs]
    plain += [(each.arg, "POSITIONAL_OR_KEYWORD") for each in given.args]
    optional = len(plain) - len(given.defaults)
    found = [(name, kind, at < optional) for at, (name, kind) in enumerate(plain)]
    if given.vararg:
        found.append((given.vararg.arg, "VAR_POSITIONAL", False))
    found += [
        (each.arg, "KEYWORD_ONLY", default is None)
        for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    if given.kwarg:
        found.append((given.kwarg.arg, "VAR_KEYWORD", False))
    return tuple(found)


def _kind_of(node: Function) -> Kind:
    marks = {last_name(each) for each in node.decorator_list}
    if "staticmethod" in marks or node.name == "__new__":
        return "staticmethod" if "staticmethod" in marks else "other"
    if "classmethod" in marks or node.name in ("__init_subclass__", "__class_getitem__"):
        return "classmethod"
    return "property" if marks & _PROPERTIES else "method"


def _is_abstract(node: ast.ClassDef) -> bool:
    if any(last_name(each) in ("ABC", "Protocol") for each in node.bases):
        return True
    return any(
        last_name(mark).startswith("abstract")
        for each in _flat(node.body) if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
        for mark in each.decorator_list
    )  # fmt: skip


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _flat([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            yield from _flat([*statement.body, *statement.orelse, *(s for h in statement.handlers for s in h.body)])
