"""Functions: what a small function returns, as far as source and environment decide it. Nothing runs."""

from __future__ import annotations

__all__ = ["Evaluation"]

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mixprec_doctor.source.truth import Truth

_MOST_STATEMENTS = 40

Names = Mapping[str, object]  # values of the names of one call


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How the parts of a function are worked out, for some values of its local names.

    Assignments to plain names, tests, ``try`` around imports and ``return`` are followed, in one scope; any other
    statement leaves the result ``unknown``.
    """

    value: Callable[[ast.expr, Names], object]
    truth: Callable[[ast.expr, Names], Truth]
    imports: Callable[[ast.Import | ast.ImportFrom], Truth]
    unknown: object

    def returned(self, function: ast.FunctionDef, given: Names) -> object:
        """What a call of the function gives for some values of its parameters."""
        if sum(isinstance(node, ast.stmt) for node in ast.walk(function)) > _MOST_STATEMENTS:
            return self.unknown
        ended, result = self._run(function.body, dict(given))
        return result if ended else None

    def _run(self, body: Iterable[ast.stmt], names: dict[str, object]) -> tuple[bool, object]:
        """Whether a block returns (or is given up), and what."""
        for statement in body:
            if isinstance(statement, ast.Return):
                return True, self.value(statement.value, names) if statement.value is not None else None
            inner = self._taken(statement, names)
            if inner is None:
                return True, self.unknown
            ended, result = self._run(inner, names)
            if ended:
                return True, result
        return False, None

    def _taken(self, statement: ast.stmt, names: dict[str, object]) -> list[ast.stmt] | None:
        """The statements inside of one that run next; None where that is not decided."""
        if isinstance(statement, ast.Pass) or (
            isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        ):
            return []
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
            if len(statement.targets) > 1 or not isinstance(target, ast.Name):
                return None
            names[target.id] = self.value(statement.value, names)
            return []
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            return [] if self.imports(statement) is Truth.YES else None
        if isinstance(statement, ast.If):
            runs = self.truth(statement.test, names)
            return {Truth.YES: statement.body, Truth.NO: statement.orelse}.get(runs)
        return self._tried(statement) if isinstance(statement, ast.Try) else None

    def _tried(self, statement: ast.Try) -> list[ast.stmt] | None:
        tried = [self.imports(each) for each in statement.body if isinstance(each, (ast.Import, ast.ImportFrom))]
        if len(tried) != len(statement.body) or not statement.handlers or Truth.UNKNOWN in tried:
            return None
        return statement.handlers[0].body if Truth.NO in tried else statement.orelse
