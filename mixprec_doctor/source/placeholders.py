"""Placeholders: what stands under a name when the real thing could not be imported."""

from __future__ import annotations

__all__ = ["placeholder_text"]

import ast
import re

from mixprec_doctor.source.module import Binding, Branch, ParsedModule

_NOTHING = {"Any", "object", "None", "NotImplemented", "Ellipsis", "type"}
_STANDIN_NAME = re.compile(r"^_?(?:Dummy|Placeholder|Fake|Mock|Missing|Unavailable|Stub)", re.IGNORECASE)


def placeholder_text(binding: Binding, parsed: ParsedModule) -> str | None:
    """What a binding puts in place of the real thing; None when the binding is the real thing."""
    fallback = any(guard.branch in (Branch.EXCEPT, Branch.ELSE) for guard in binding.guards)
    fallback = fallback or _is_imported_otherwise(binding, parsed)
    if binding.value is not None:
        return _value(binding, parsed, fallback=fallback)
    statement = binding.statement
    failed = any(guard.branch is Branch.EXCEPT for guard in binding.guards)
    if failed and isinstance(statement, ast.ClassDef) and _is_hollow(statement, parsed):
        return f"class {statement.name}"
    return None


def _is_imported_otherwise(binding: Binding, parsed: ParsedModule) -> bool:
    """Whether the ``else`` of an ``if`` around a binding imports the same name."""
    lines = {guard.line for guard in binding.guards if guard.branch is Branch.IF}
    return bool(lines) and any(
        isinstance(other.statement, ast.ImportFrom)
        and any(guard.branch is Branch.ELSE and guard.line in lines for guard in other.guards)
        for other in parsed.by_name[binding.name]
    )


def _value(binding: Binding, parsed: ParsedModule, *, fallback: bool) -> str | None:
    value = binding.value
    if fallback and isinstance(value, ast.Constant) and value.value is None:
        return "None"
    if not isinstance(value, ast.Name):
        last = value.attr if isinstance(value, ast.Attribute) else ""
        return last if fallback and last in _NOTHING else None
    if fallback and value.id in _NOTHING:
        return value.id
    if value.id != binding.name and _STANDIN_NAME.match(value.id):
        return value.id
    if fallback and any(
        isinstance(other.statement, ast.ClassDef)
        and other.guards
        and other.guards[-1].line == binding.guards[-1].line
        and _is_hollow(other.statement, parsed)
        for other in parsed.by_name.get(value.id, ())
    ):
        return value.id
    return None


def _is_hollow(statement: ast.ClassDef, parsed: ParsedModule) -> bool:
    """A class whose methods only pass, return a constant or raise."""
    return all(_does_nothing(inner, parsed) for inner in statement.body)


def _does_nothing(statement: ast.stmt, parsed: ParsedModule) -> bool:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return all(_does_nothing(inner, parsed) for inner in parsed.whole(statement).body)
    if isinstance(statement, ast.Return):
        return statement.value is None or isinstance(statement.value, ast.Constant)
    return isinstance(statement, (ast.Pass, ast.Raise)) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )
