"""Functions: what a small function returns, as far as source and environment decide it. Nothing runs."""

from __future__ import annotations

__all__ = ["Evaluation", "bound_within", "gives_its_result", "local_names", "touched"]

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mixprec_doctor.source.module import Branch, Guard, caught, dotted
from mixprec_doctor.source.operands import Table
from mixprec_doctor.source.truth import Truth

_MOST_STATEMENTS = 40
_KEEPING = {"cache", "deprecated", "final", "inference_mode", "lru_cache", "no_grad", "override", "staticmethod"}

Names = Mapping[str, object]  # values of the names of one call


def gives_its_result(function: ast.FunctionDef) -> bool:
    """Whether calling the name of a function runs its body and gives what that returns: not so for generators, nor
    with a decorator that may do anything."""
    for decorator in function.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if dotted(called).rpartition(".")[2] not in _KEEPING:
            return False
    return not any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(function))


def local_names(function: ast.FunctionDef) -> frozenset[str]:
    """Every name that is a function's own: its parameters and what its statements bind."""
    names = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    return frozenset(names.union(*(bound_within(each) for each in function.body)))


def bound_within(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds, at any depth."""
    for node in ast.walk(statement):
        yield from _bound_in(node)


def _bound_in(node: ast.AST) -> Iterable[str]:
    if isinstance(node, ast.Name):
        return () if isinstance(node.ctx, ast.Load) else (node.id,)
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs)):
        return (node.name,) if node.name else ()
    if isinstance(node, (ast.MatchStar, ast.MatchMapping)):
        name = node.name if isinstance(node, ast.MatchStar) else node.rest
        return (name,) if name else ()
    return ()


def touched(node: ast.AST, names: Names) -> Iterator[str]:
    """Names of containers that a statement or expression may change or call otherwise: all that it mentions, but for
    what ``in`` looks into."""
    looked_into = {
        id(other)
        for each in ast.walk(node)
        if isinstance(each, ast.Compare)
        for op, other in zip(each.ops, each.comparators, strict=True)
        if isinstance(op, (ast.In, ast.NotIn))
    }
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and isinstance(names.get(each.id), Table) and id(each) not in looked_into:
            yield each.id


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How the parts of a function are worked out, for some values of its local names.

    Assignments to plain names, tests, ``try`` around imports and ``return`` are followed, in one scope; any other
    statement leaves the result ``unknown``.
    """

    value: Callable[[ast.expr, Names], object]
    truth: Callable[[ast.expr, Names], Truth]
    runs: Callable[[Guard], Truth]  # whether what such a guard stands around runs
    unknown: object

    def returned(self, function: ast.FunctionDef, given: Names) -> object:
        """What a call of the function gives for some values of its local names."""
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
            value = self.value(statement.value, names)
            names |= dict.fromkeys([*touched(statement.value, names)], self.unknown)
            names[target.id] = value
            return []
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            return [] if self._succeeds([statement]) is Truth.YES else None
        if isinstance(statement, ast.If):
            runs = self.truth(statement.test, names)
            names |= dict.fromkeys([*touched(statement.test, names)], self.unknown)
            return {Truth.YES: statement.body, Truth.NO: statement.orelse}.get(runs)
        return self._tried(statement) if isinstance(statement, ast.Try) else None

    def _succeeds(self, statements: Iterable[ast.stmt]) -> Truth:
        before = tuple(statements)
        return self.runs(Guard(branch=Branch.TRY_ELSE, line=before[0].lineno, before=before))

    def _tried(self, statement: ast.Try) -> list[ast.stmt] | None:
        """What runs of a ``try`` around imports, which may return something plain after them."""
        imports = [each for each in statement.body if isinstance(each, (ast.Import, ast.ImportFrom))]
        rest = statement.body[len(imports) :]
        if not imports or statement.body[: len(imports)] != imports or statement.finalbody:
            return None
        if not all(_cannot_fail(each) for each in rest):
            return None
        succeeds = self._succeeds(imports)
        if succeeds is Truth.YES:
            return [*rest, *statement.orelse]
        earlier: tuple[str, ...] = ()
        for handler in statement.handlers if succeeds is Truth.NO else ():
            own = tuple(caught(handler.type))
            guard = Guard(
                branch=Branch.EXCEPT, line=handler.lineno, before=tuple(imports), handled=own, earlier=earlier
            )  # fmt: skip
            runs = self.runs(guard)
            if runs is not Truth.NO:
                return handler.body if runs is Truth.YES else None
            earlier += own
        return None


def _cannot_fail(statement: ast.stmt) -> bool:
    """Whether a statement only returns or binds a constant."""
    plain = isinstance(statement, (ast.Return, ast.Assign)) and isinstance(statement.value, (ast.Constant, type(None)))
    return plain or isinstance(statement, ast.Pass)
