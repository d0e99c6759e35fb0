"""The engine's own registry: which config class its tables give for a method's name."""

from __future__ import annotations

__all__ = ["Registered", "registered_classes"]

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from mixprec_doctor.source.exports import Exports, Origin, Unbound
from mixprec_doctor.source.module import ParsedModule


@dataclass(frozen=True, kw_only=True)
class Registered:
    """One entry of a table: where it stands, the class's name there, and where that comes from."""

    path: str
    origin: Origin


def registered_classes(exports: Exports, module: str, method: str) -> Iterator[Registered]:
    """Entries for a method in every dictionary of a registry module, those of functions included."""
    parsed = exports.sources.module(module)
    if parsed is None:
        return
    for scope in _scopes(parsed):
        for node in _own_nodes(scope):
            if not isinstance(node, ast.Dict):
                continue
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == method and isinstance(value, ast.Name):
                    yield Registered(
                        path=f"{module}[{method!r}] = {value.id}",
                        origin=_origin(value.id, scope, parsed, exports),
                    )


def _scopes(parsed: ParsedModule) -> Iterator[ast.AST]:
    yield parsed.tree
    for node in parsed.tree.body:
        if isinstance(node, ast.FunctionDef):
            yield parsed.whole(node)


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """What stands in a scope itself and not in a function inside it."""
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        yield child
        yield from _own_nodes(child)


def _origin(name: str, scope: ast.AST, parsed: ParsedModule, exports: Exports) -> Origin:
    """A name of a scope: imported inside the function, else the module's."""
    if isinstance(scope, ast.FunctionDef):
        for node in _own_nodes(scope):
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
