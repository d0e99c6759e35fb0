"""The engine's own registry: which config class its tables give for a method's name, and on which condition."""

from __future__ import annotations

__all__ = ["Registered", "registered_classes"]

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from mixprec_doctor.source.exports import Exports, Origin, Unbound
from mixprec_doctor.source.module import ParsedModule

_REGISTRY = "QUANTIZATION_METHODS"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """One entry for a method: where it stands, what it leads to, and the source text of its condition, if any."""

    path: str
    origin: Origin
    condition: str | None = None


def registered_classes(exports: Exports, module: str, method: str) -> Iterator[Registered]:
    """Entries for a method in the dictionaries and if-chains of a registry module, those of functions included."""
    parsed = exports.sources.module(module)
    if parsed is None or not any(mark % method.encode() in parsed.source for mark in (b'"%s"', b"'%s'")):
        return
    feeding = _feeding(parsed)
    for scope in _scopes(parsed):
        inside = isinstance(scope, ast.FunctionDef)
        for statement, condition in _statements(scope.body, None, parsed):
            other = None if inside else _other_table(statement, feeding)
            for name, tested in _entries(statement, method):
                texts = [text for text in (condition, tested, other) if text]
                yield Registered(
                    path=f"{module}[{method!r}] = {name}",
                    origin=_origin(name, scope, parsed, exports),
                    condition=" and ".join(texts) or None,
                )


def _scopes(parsed: ParsedModule) -> Iterator[ast.Module | ast.FunctionDef]:
    yield parsed.tree
    for node in parsed.tree.body:
        if isinstance(node, ast.FunctionDef):
            yield parsed.whole(node)


def _statements(
    body: list[ast.stmt], condition: str | None, parsed: ParsedModule
) -> Iterator[tuple[ast.stmt, str | None]]:
    """Every statement of a scope and the tests around it, as one text; an if-chain on the method is left whole."""
    for statement in body:
        yield statement, condition
        if isinstance(statement, ast.If):
            if _tested_method(statement.test) is not None:
                continue
            test = parsed.text(statement.test)
            yield from _statements(statement.body, _both(condition, test), parsed)
            yield from _statements(statement.orelse, _both(condition, f"not ({test})"), parsed)
        elif isinstance(statement, (ast.Try, ast.With)):
            yield from _statements(statement.body, condition, parsed)
            for handler in getattr(statement, "handlers", ()):
                text = f"the try on line {statement.lineno} fails"
                yield from _statements(handler.body, _both(condition, text), parsed)


def _both(first: str | None, second: str) -> str:
    return f"{first} and {second}" if first else second


def _entries(statement: ast.stmt, method: str) -> Iterator[tuple[str, str | None]]:
    """Names of classes that a statement itself gives for the method."""
    if isinstance(statement, ast.If):
        yield from _chain(statement, method)
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Expr, ast.Return)) and statement.value is not None:
        for node in ast.walk(statement.value):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == method and isinstance(value, ast.Name):
                        yield value.id, None


def _chain(statement: ast.If, method: str) -> Iterator[tuple[str, str | None]]:
    """``if name == "fp8": return Fp8Config``, with its elifs."""
    current: ast.stmt | None = statement
    while isinstance(current, ast.If):
        if method in (_tested_method(current.test) or ()):
            for inner in current.body:
                for node in ast.walk(inner):
                    value = node.value if isinstance(node, (ast.Return, ast.Assign)) else None
                    if isinstance(value, ast.Name) and value.id[:1].isupper():
                        yield value.id, None
        current = current.orelse[0] if len(current.orelse) == 1 else None


def _tested_method(test: ast.expr) -> tuple[str, ...] | None:
    """The strings that a name is compared with: ``name == "fp8"``, ``name in ("fp8", "awq")``."""
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.left, ast.Name):
        return None
    right = test.comparators[0]
    parts = right.elts if isinstance(right, (ast.Tuple, ast.List, ast.Set)) else [right]
    words = [each.value for each in parts if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return tuple(words) if words and isinstance(test.ops[0], (ast.Eq, ast.In)) else None


def _feeding(parsed: ParsedModule) -> set[str]:
    """The registry's own name and those of the tables that it is made from."""
    names = {_REGISTRY}
    for statement in ast.walk(parsed.tree):
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id == _REGISTRY for target in targets):
                names |= {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
        elif isinstance(statement, ast.Call) and _updates_registry(statement.func):
            names |= {node.id for each in statement.args for node in ast.walk(each) if isinstance(node, ast.Name)}
    return names


def _updates_registry(callee: ast.expr) -> bool:
    return (
        isinstance(callee, ast.Attribute)
        and callee.attr == "update"
        and isinstance(callee.value, ast.Name)
        and callee.value.id == _REGISTRY
    )


def _other_table(statement: ast.stmt, feeding: set[str]) -> str | None:
    """The words for an entry of a table that the registry is not made from."""
    name: str | None = None
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        name = statement.targets[0].id
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        name = statement.target.id
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        callee = statement.value.func
        name = getattr(callee.value, "id", None) if isinstance(callee, ast.Attribute) else None
    return f"{name} is used" if name is not None and name not in feeding else None


def _origin(name: str, scope: ast.Module | ast.FunctionDef, parsed: ParsedModule, exports: Exports) -> Origin:
    """A name of a scope: imported inside the function, else the module's."""
    if isinstance(scope, ast.FunctionDef):
        for node in ast.walk(scope):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        target = parsed.absolute(node)
                        return (
                            exports.look_up(target, alias.name)
                            if target
                            else Unbound(fault="an import from beyond the top-level package")
                        )
    return exports.look_up(parsed.name, name)
