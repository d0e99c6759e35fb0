"""Import calls: ``import_module("literal")`` and ``__import__("literal")`` in a statement that runs at import time."""

from __future__ import annotations

__all__ = ["IMPORTERS", "Literals", "called_imports", "caught_names", "literal_strings", "suppresses"]

import ast
import re
from collections.abc import Iterator, Mapping

from mixprec_doctor.source.module import ParsedModule

IMPORTERS = frozenset({"import_module", "__import__"})
_NOT_RUN_AT_ONCE = (ast.Lambda, ast.IfExp, ast.BoolOp, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SWALLOWS = re.compile(r"suppress|try_import|optional_import")

Literals = Mapping[str, tuple[str, ...]]  # loop variables that run over plain strings


def called_imports(statement: ast.stmt, literals: Literals, parsed: ParsedModule) -> Iterator[str]:
    """Modules that calls in a statement import, outside of what runs later or perhaps."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, _NOT_RUN_AT_ONCE):
            continue
        if isinstance(node, ast.Call) and _called(node) in IMPORTERS and node.args:
            yield from _imported(node, literals, parsed)
        waiting += ast.iter_child_nodes(node)


def caught_names(node: ast.expr | None) -> list[str]:
    """The exceptions that ``except NODE`` takes, by their last names."""
    if node is None:
        return ["BaseException"]
    if isinstance(node, ast.Tuple):
        return [name for each in node.elts for name in caught_names(each)]
    return [node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""]


def suppresses(statement: ast.With) -> bool:
    """Whether ``with suppress(ImportError)`` or the like takes what its body raises."""
    return any(
        isinstance(item.context_expr, ast.Call) and _SWALLOWS.search(ast.unparse(item.context_expr.func))
        for item in statement.items
    )


def literal_strings(node: ast.List | ast.Tuple) -> Iterator[str]:
    """The plain strings of a list."""
    for each in node.elts:
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def _imported(call: ast.Call, literals: Literals, parsed: ParsedModule) -> Iterator[str]:
    first = call.args[0]
    names: tuple[str, ...] = ()
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        names = (first.value,)
    elif isinstance(first, ast.Name):
        names = literals.get(first.id, ())
    for name in names:
        if not name.startswith("."):
            yield name
        elif len(call.args) > 1 and isinstance(call.args[1], ast.Name):
            level = len(name) - len(name.lstrip("."))
            anchor = _anchor(call.args[1].id, parsed)
            parts = anchor.split(".") if anchor else []
            if len(parts) >= level:
                yield ".".join([*parts[: len(parts) - level + 1], name.lstrip(".")])


def _anchor(name: str, parsed: ParsedModule) -> str | None:
    if name == "__package__" and not parsed.is_package:
        return parsed.name.rpartition(".")[0]
    return parsed.name if name in ("__name__", "__package__") else None


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
