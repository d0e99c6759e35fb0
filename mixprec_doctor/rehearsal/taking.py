"""Taking: whether an ``except`` takes an exception, by their names alone."""

from __future__ import annotations

__all__ = ["message_of", "raised_name", "takes"]

import ast
import builtins
from collections.abc import Callable, Iterable

from mixprec_doctor.rehearsal.stop import Stop


def takes(handled: Iterable[str], stop: Stop) -> bool:
    """Whether a handler of these exceptions takes the stop; one of a library only where the names are equal."""
    raised = getattr(builtins, stop.exception, None)
    for name in handled:
        wanted = getattr(builtins, name, None)
        if name in (stop.exception, "BaseException", "Exception"):
            return True
        if isinstance(wanted, type) and isinstance(raised, type) and issubclass(raised, wanted):
            return True
    return False


def raised_name(statement: ast.Raise, caught: Stop | None) -> str | None:
    """The name of the exception that a statement raises; None for one that raises again what was caught."""
    raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
    if isinstance(raised, ast.Attribute):
        return raised.attr
    if isinstance(raised, ast.Name):
        known = isinstance(getattr(builtins, raised.id, None), type) or raised.id[:1].isupper()
        return raised.id if known or caught is None else None
    return None


def message_of(statement: ast.Raise, value: Callable[[ast.expr], object]) -> str:
    """The words of a raised exception, with the values of names where they are known; empty where there are none."""
    raised = statement.exc
    return _words(raised.args[0], value) if isinstance(raised, ast.Call) and raised.args else ""


def _words(node: ast.expr, value: Callable[[ast.expr], object]) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(each, value) for each in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(node.left, value) + _words(node.right, value)
    known = value(node.value if isinstance(node, ast.FormattedValue) else node)
    return str(known) if isinstance(known, (str, int, float)) else "..."
