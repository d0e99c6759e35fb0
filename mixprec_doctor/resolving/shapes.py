"""Shapes: recognising what a role asks for by what it is, when none of its names is left."""

from __future__ import annotations

__all__ = ["config_named", "direct_base", "linear_methods_of"]

import ast
from collections.abc import Iterable, Iterator

from mixprec_doctor.resolving.symbols import module_of
from mixprec_doctor.source.constructors import base_classes, find_method, resolve_expression
from mixprec_doctor.source.exports import Exports, Found
from mixprec_doctor.source.module import ParsedModule
from mixprec_doctor.source.tree import Tree


def config_named(exports: Exports, tree: Tree, method: str, paths: Iterable[str]) -> Iterator[Found]:
    """Classes whose ``get_name`` returns the method's name."""
    quoted = (f'"{method}"'.encode(), f"'{method}'".encode())
    for path in paths:
        source = tree.read(path)
        if source is None or b"def get_name" not in source or not any(each in source for each in quoted):
            continue
        module, _ = module_of(path)
        parsed = exports.sources.module(module)
        if parsed is None:
            continue
        for node in parsed.tree.body:
            getter = find_method(node, "get_name") if isinstance(node, ast.ClassDef) else None
            if (
                isinstance(node, ast.ClassDef)
                and getter is not None
                and parsed
                and method in _returned(parsed.whole(getter))
            ):
                found = exports.look_up(module, node.name)
                if isinstance(found, Found):
                    yield found


def linear_methods_of(config: Found, exports: Exports) -> Iterator[Found]:
    """Linear methods that a config's ``get_quant_method`` makes, or hands on to what makes them.

    Those that are called so; only where none is, what else it names, for which much more is read.
    """
    parsed = exports.sources.module(config.module)
    if parsed is None or not isinstance(config.node, ast.ClassDef):
        return
    named = [
        (node, home)
        for each, home in base_classes(config.node, parsed, exports)
        for getter in (find_method(each, "get_quant_method"),)
        for node in (ast.walk(home.whole(getter)) if getter else ())
        if isinstance(node, (ast.Name, ast.Attribute)) and _last(node)[:1].isupper()  # classes are what we are after
    ]
    called = [(node, home) for node, home in named if "LinearMethod" in _last(node)]
    yield from list(_linear_methods(called, exports)) or _linear_methods(named, exports)


def _linear_methods(named: list[tuple[ast.Name | ast.Attribute, ParsedModule]], exports: Exports) -> Iterator[Found]:
    seen: set[tuple[str, str]] = set()
    for node, home in named:
        found = resolve_expression(node, home, exports)
        if isinstance(found, Found) and (found.module, found.name) not in seen:
            seen.add((found.module, found.name))
            if _is_linear_method(found, exports):
                yield found


def direct_base(found: Found, exports: Exports) -> Found | None:
    """The first base class whose source is at hand."""
    parsed = exports.sources.module(found.module)
    if parsed is None or not isinstance(found.node, ast.ClassDef):
        return None
    for base in found.node.bases:
        origin = resolve_expression(base, parsed, exports)
        if isinstance(origin, Found) and isinstance(origin.node, ast.ClassDef):
            return origin
    return None


def _is_linear_method(found: Found, exports: Exports) -> bool:
    """It creates weights and applies them to an input, and is not the one for unquantized layers."""
    parsed = exports.sources.module(found.module)
    if parsed is None or not isinstance(found.node, ast.ClassDef):
        return False
    names = {each.name for each, _ in base_classes(found.node, parsed, exports)}
    words = " ".join(names).lower()
    return "linearmethod" in words and "unquantized" not in found.name.lower() and "moe" not in words


def _last(node: ast.Name | ast.Attribute) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def _returned(function: ast.FunctionDef) -> set[object]:
    return {
        node.value.value
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant)
    }
