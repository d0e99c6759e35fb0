"""Attributes: names that code takes from modules as ``module.name``, without an import statement of their own."""

from __future__ import annotations

__all__ = ["Taken", "taken_attributes"]

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One name that is taken from a module, and where."""

    module: str
    name: str
    node: ast.Attribute


def taken_attributes(tree: ast.Module, sources: Sources) -> Iterator[Taken]:
    """Every name that the code reads from a module it imported, each once; what a ``try`` may catch is left out."""
    modules = _modules(tree, sources)
    seen: set[tuple[str, str]] = set()
    for node in _unguarded(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            taken = _taken(node, modules, sources)
            if taken is not None and (taken.module, taken.name) not in seen:
                seen.add((taken.module, taken.name))
                yield taken


def _taken(node: ast.Attribute, modules: dict[str, str], sources: Sources) -> Taken | None:
    """The attribute, where all before it are modules."""
    module = _module_of(node.value, modules, sources)
    if module is None or sources.has_module(f"{module}.{node.attr}") is not Truth.NO:
        return None
    return Taken(module=module, name=node.attr, node=node)


def _module_of(node: ast.expr, modules: dict[str, str], sources: Sources) -> str | None:
    if isinstance(node, ast.Name):
        return modules.get(node.id)
    if isinstance(node, ast.Attribute) and (above := _module_of(node.value, modules, sources)) is not None:
        inner = f"{above}.{node.attr}"
        return inner if sources.has_module(inner) is Truth.YES else None
    return None


def _modules(tree: ast.Module, sources: Sources) -> dict[str, str]:
    """What stands for a module in the code: names that imports bind and nothing else does."""
    found: dict[str, set[str | None]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found.setdefault(alias.asname or top, set()).add(alias.name if alias.asname else top)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = not node.level and sources.has_module(inner) is Truth.YES
                found.setdefault(alias.asname or alias.name, set()).add(inner if is_module else None)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.setdefault(node.id, set()).add(None)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.setdefault(node.name, set()).add(None)
        elif isinstance(node, ast.arg):
            found.setdefault(node.arg, set()).add(None)
    return {name: next(iter(each)) or "" for name, each in found.items() if len(each) == 1 and None not in each}


def _unguarded(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Try) and child.handlers:
            for inner in (*child.orelse, *child.finalbody):
                yield inner
                yield from _unguarded(inner)
        else:
            yield child
            yield from _unguarded(child)
