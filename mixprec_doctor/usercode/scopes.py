"""Scopes: what a call in the code means, where functions import names of their own."""

from __future__ import annotations

__all__ = ["calls_and_meanings"]

import ast
from collections.abc import Iterator

from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.lineage import resolve_expression
from mixprec_doctor.source.module import ParsedModule, parse_module

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def calls_and_meanings(parsed: ParsedModule, exports: Exports) -> Iterator[tuple[ast.Call, object]]:
    """Every call of the code and what is called; None where a function's own variable is."""
    for call, functions in _calls(parsed.tree, ()):
        root = _root(call.func)
        if any(root in _variables(function) for function in functions):
            yield call, None
        else:
            yield call, resolve_expression(call.func, _scope(parsed, functions, exports), exports)


def _calls(node: ast.AST, functions: tuple[ast.AST, ...]) -> Iterator[tuple[ast.Call, tuple[ast.AST, ...]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, functions
        yield from _calls(child, (*functions, child) if isinstance(child, (*_Function, ast.Lambda)) else functions)


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _variables(function: ast.AST) -> set[str]:
    """The arguments of a function and what it assigns."""
    names = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    return names | {
        node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _scope(parsed: ParsedModule, functions: tuple[ast.AST, ...], exports: Exports) -> ParsedModule:
    """The module with the imports of the functions around a call at its end."""
    imports = [
        node for function in functions for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    if not imports:
        return parsed
    name = f"{parsed.name}.line{imports[-1].lineno}"
    source = parsed.source + b"\n" + "\n".join(map(ast.unparse, imports)).encode() + b"\n"
    scope = parse_module(name, source, is_package=False, whole=True)
    exports.sources.adopt(scope)
    return scope
