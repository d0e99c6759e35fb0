"""Decorators: which of them make constructors from fields, and which give back what they are given."""

from __future__ import annotations

__all__ = ["Maker", "keeps_signature", "maker_of"]

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from mixprec_doctor.source.exports import Exports, Found, Outside
from mixprec_doctor.source.lineage import find_method, last_name, resolve_expression
from mixprec_doctor.source.module import ParsedModule

_ATTRS = {"define", "frozen", "mutable", "attrs", "attributes", "s", "attrs.define", "dataclass"}
_TRANSPARENT = {
    "abstractmethod", "asynccontextmanager", "cache", "classmethod", "compile", "contextmanager", "coroutine",
    "dataclass_transform", "deprecated", "final", "inference_mode", "lru_cache", "no_grad", "overload", "override",
    "runtime_checkable", "singledispatch", "staticmethod", "total_ordering", "unique", "update_wrapper",
    "validate_call", "wraps",
}  # fmt: skip
_DEEPEST = 4


@dataclass(frozen=True, kw_only=True)
class Maker:
    """What makes a class's constructor from its fields."""

    kind: Literal["dataclass", "attrs", "model", "struct", "namedtuple"]
    keyword_only: bool = False
    init: bool = True


def maker_of(node: ast.expr, parsed: ParsedModule, exports: Exports, depth: int = 0) -> Maker | None:
    """The maker that a decorator is; None for one that makes no constructor."""
    callee = node.func if isinstance(node, ast.Call) else node
    maker = _maker_named(callee, parsed, exports, depth)
    return _with_words(maker, node) if maker and isinstance(node, ast.Call) else maker


def _maker_named(callee: ast.expr, parsed: ParsedModule, exports: Exports, depth: int) -> Maker | None:
    if last_name(callee) == "dataclass" and not isinstance(callee, ast.Call):
        return Maker(kind="dataclass")
    found = resolve_expression(callee, parsed, exports)
    if not isinstance(found, (Found, Outside)):
        return None
    top = found.module.partition(".")[0]
    if top in ("attr", "attrs") and (found.name in _ATTRS or last_name(callee) in _ATTRS):
        return Maker(kind="attrs")
    if found.name == "dataclass":
        return Maker(kind="dataclass")
    home = exports.sources.module(found.module)
    if not isinstance(found, Found) or home is None or depth > _DEEPEST:
        return None
    if isinstance(found.value, ast.Call):  # partial(dataclass, frozen=True), dataclass(frozen=True)
        called = found.value
        inner = called.args[0] if last_name(called.func) == "partial" and called.args else called.func
        made = maker_of(inner, home, exports, depth + 1)
        return _with_words(made, called) if made else None
    if isinstance(found.node, ast.FunctionDef):
        return _applied(found.node, home)
    return None


def _applied(function: ast.FunctionDef, home: ParsedModule) -> Maker | None:
    """A decorator of a package that is marked as making dataclasses, or that calls ``dataclass`` on its class."""
    for node in ast.walk(home.whole(function)):
        called = isinstance(node, ast.Call) and last_name(node.func) == "dataclass"
        if called and isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Name):
            return _with_words(Maker(kind="dataclass"), node)
    marked = any(last_name(each) == "dataclass_transform" for each in function.decorator_list)
    return Maker(kind="dataclass") if marked else None


def _with_words(maker: Maker, call: ast.Call) -> Maker:
    for word in call.keywords:
        if isinstance(word.value, ast.Constant) and isinstance(word.value.value, bool):
            if word.arg == "kw_only":
                maker = replace(maker, keyword_only=word.value.value)
            elif word.arg == "init":
                maker = replace(maker, init=word.value.value)
    return maker


def keeps_signature(decorator: ast.expr, parsed: ParsedModule, exports: Exports) -> bool:
    """Whether what a decorator gives back is called like what it was given, as far as that can be read."""
    if last_name(decorator) in _TRANSPARENT:
        return True
    callee = decorator.func if isinstance(decorator, ast.Call) else decorator
    found = resolve_expression(callee, parsed, exports)
    if isinstance(found, Found) and isinstance(found.node, ast.FunctionDef):
        home = exports.sources.module(found.module)
        return home is not None and _gives_back(home.whole(found.node), home)
    if isinstance(callee, ast.Attribute):  # a method of a class that registers others
        owner = resolve_expression(callee.value, parsed, exports)
        home = exports.sources.module(owner.module) if isinstance(owner, Found) else None
        if isinstance(owner, Found) and isinstance(owner.node, ast.ClassDef) and home is not None:
            method = find_method(owner.node, callee.attr)
            return method is not None and _gives_back(home.whole(method), home)
    return False


def _gives_back(function: ast.FunctionDef, home: ParsedModule, depth: int = 0) -> bool:
    """Whether every return gives a parameter back, or a function that wraps one."""
    given = {each.arg for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
    inner = {
        each.name: each for each in ast.walk(function) if isinstance(each, ast.FunctionDef) and each is not function
    }
    returned = list(_returned(function.body))
    return bool(returned) and all(_is_given(value, given, inner, home, depth) for value in returned)


def _is_given(
    value: ast.expr | None, given: set[str], inner: dict[str, ast.FunctionDef], home: ParsedModule, depth: int
) -> bool:
    if isinstance(value, ast.IfExp):
        return all(_is_given(each, given, inner, home, depth) for each in (value.body, value.orelse))
    if isinstance(value, ast.Name):
        nested = inner.get(value.id)
        if nested is None:
            return value.id in given
        return any(last_name(each) == "wraps" for each in nested.decorator_list) or _gives_back(nested, home, depth)
    if isinstance(value, ast.Call):
        nested = inner.get(last_name(value.func))
        if nested is None and isinstance(value.func, ast.Name) and depth < _DEEPEST:
            bound = [each.statement for each in home.by_name.get(value.func.id, ())]
            nested = next((home.whole(each) for each in reversed(bound) if isinstance(each, ast.FunctionDef)), None)
            depth += 1
        return last_name(value.func) in _TRANSPARENT or (nested is not None and _gives_back(nested, home, depth))
    return False


def _returned(body: list[ast.stmt]) -> Iterator[ast.expr | None]:
    """What a function itself returns, not what the functions in it do."""
    for statement in body:
        if isinstance(statement, ast.Return):
            yield statement.value
        elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for part in ("body", "orelse", "finalbody"):
                yield from _returned(getattr(statement, part, []))
            for handler in getattr(statement, "handlers", ()):
                yield from _returned(handler.body)
