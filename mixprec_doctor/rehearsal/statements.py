"""Statements: a module, or a function that it calls, run one statement after the other."""

from __future__ import annotations

__all__ = ["Statements"]

import ast
from collections.abc import Iterable
from dataclasses import replace

from mixprec_doctor.rehearsal.calls import function_called
from mixprec_doctor.rehearsal.effects import registered_twice, version_demanded
from mixprec_doctor.rehearsal.imports import Imports, Run
from mixprec_doctor.rehearsal.stage import Stage
from mixprec_doctor.rehearsal.state import State, bound_names
from mixprec_doctor.rehearsal.stop import Stop, StopKind, Swallowed
from mixprec_doctor.rehearsal.taking import message_of, raised_name, takes
from mixprec_doctor.resolving.importcalls import (
    IMPORTERS,
    Literals,
    called_imports,
    caught_names,
    literal_strings,
    suppresses,
)
from mixprec_doctor.source.module import Branch, Guard
from mixprec_doctor.source.truth import Truth

_OPENERS = frozenset({"globals()", "exec(", "sys.modules", "setattr("})  # after these a module may have any name
_RETURNED = Stop(kind=StopKind.RAISED, wanted="", exception="", text="return")  # the end of a function, no fault


class Statements:
    """Statements on a stage; each method gives how what it runs ends."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._imports = Imports(stage)
        self._having: dict[tuple[bytes, frozenset[str]], bool] = {}

    def module(self, state: State) -> Run:
        """A module from its first statement to its last."""
        parsed = state.parsed
        assert parsed is not None  # noqa: S101  only modules with source are begun
        self._stage.mention(parsed.tree, parsed)
        return (yield from self._body(parsed.tree.body, state, {}))

    def called(self, state: State) -> Run:
        """A function that a module calls."""
        node = state.position
        assert isinstance(node, ast.FunctionDef) and state.parsed is not None  # noqa: S101  as made
        self._stage.mention(node, state.parsed)
        stop = yield from self._body(node.body, state, {})
        return None if stop is _RETURNED else stop

    def _body(
        self, statements: Iterable[ast.stmt], state: State, literals: Literals, caught: Stop | None = None
    ) -> Run:
        for statement in statements:
            state.position = statement
            stop = yield from self._statement(statement, state, literals, caught)
            if stop is not None:
                return stop
        return None

    def _statement(self, statement: ast.stmt, state: State, literals: Literals, caught: Stop | None) -> Run:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            return (yield from self._imports.run(statement, state))
        if isinstance(statement, ast.If):
            return (yield from self._if(statement, state, literals, caught))
        elif isinstance(statement, ast.Try) or type(statement).__name__ == "TryStar":
            return (yield from self._try(statement, state, literals))  # type: ignore[arg-type]
        elif isinstance(statement, ast.With):
            return (yield from self._with(statement, state, literals, caught))
        elif isinstance(statement, ast.ClassDef):
            stop = yield from self._class(statement, state, literals, caught)
            state.bound.add(statement.name)
            return stop
        elif isinstance(statement, (ast.For, ast.While)):
            return (yield from self._loop(statement, state, literals, caught))
        elif isinstance(statement, ast.Return):
            return _RETURNED
        elif isinstance(statement, ast.Raise):
            return self._raise(statement, state, caught)
        elif isinstance(statement, ast.Delete):
            state.bound.difference_update(each.id for each in statement.targets if isinstance(each, ast.Name))
        else:
            return (yield from self._other(statement, state, literals))
        return None

    def _class(self, statement: ast.ClassDef, state: State, literals: Literals, caught: Stop | None) -> Run:
        """The body runs in a scope of its own, so that its names are not the module's."""
        before = set(state.bound)
        stop = yield from self._body(statement.body, state, literals, caught)
        state.bound = before
        return stop

    def _other(self, statement: ast.stmt, state: State, literals: Literals) -> Run:
        parsed = state.parsed
        assert parsed is not None  # noqa: S101  it runs
        if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and self._has(IMPORTERS, parsed.source):
            for name in called_imports(statement, literals, parsed):
                stop = yield from self._imports.module(name, statement, state)
                if stop is not None:
                    return stop
        if state.names is not None and isinstance(statement, ast.Assign):
            value = self._stage.exports.conditions.value(statement.value, parsed, state.names)
            state.names.update({each.id: value for each in statement.targets if isinstance(each, ast.Name)})
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            stop = self._stage.effect(registered_twice(statement.value, self._stage.exports.sources), state)
            if stop is None and (called := function_called(statement.value, state, self._stage)) is not None:
                stop = yield called
            if stop is not None:
                return stop
        state.bound.update(bound_names(statement))
        if self._has(_OPENERS, parsed.source):
            text = b"\n".join(parsed.lines[statement.lineno - 1 : statement.end_lineno])
            state.is_open = state.is_open or any(word.encode() in text for word in _OPENERS)
        return None

    def _has(self, words: frozenset[str], source: bytes) -> bool:
        """Whether a module has one of some words anywhere; looked for once, not for each of its statements."""
        key = (source, words)
        if key not in self._having:
            self._having[key] = any(word.encode() in source for word in words)
        return self._having[key]

    def _if(self, statement: ast.If, state: State, literals: Literals, caught: Stop | None) -> Run:
        parsed = state.parsed
        assert parsed is not None  # noqa: S101  it runs
        guard = Guard(branch=Branch.IF, line=statement.lineno, test=statement.test)
        runs = (
            self._stage.exports.conditions.judge(guard, parsed)
            if state.names is None
            else self._stage.exports.conditions.truth(statement.test, parsed, state.names)
        )
        if isinstance(statement.test, ast.Compare) and getattr(statement.test.left, "id", "") == "__name__":
            runs = Truth.of(state.name == "__main__")
        if runs is Truth.UNKNOWN:
            state.bound.update(bound_names(statement))
            state.forget(bound_names(statement))
            state.is_open = state.is_open or "*" in state.bound
            return None
        return (
            yield from self._body(
                statement.body if runs is Truth.YES else statement.orelse, state, literals, caught
            )
        )  # fmt: skip

    def _try(self, statement: ast.Try, state: State, literals: Literals) -> Run:
        stop = yield from self._body(statement.body, state, literals)
        handler = None
        if stop is not None and stop is not _RETURNED:
            handler = next((each for each in statement.handlers if takes(caught_names(each.type), stop)), None)
        if stop is None:
            stop = yield from self._body(statement.orelse, state, literals)
        elif handler is not None:
            taken = stop
            stop = yield from self._body(handler.body, state, literals, taken)
            if stop is None:
                self._swallow(statement, handler, state, taken)
        position = state.position
        last = yield from self._body(statement.finalbody, state, literals)
        state.position = position
        return last or stop

    def _swallow(self, statement: ast.Try, handler: ast.ExceptHandler, state: State, stop: Stop) -> None:
        names = tuple(dict.fromkeys(name for inner in handler.body for name in bound_names(inner)))
        failed = next(step.line for step in stop.trail if step.module == state.name and step.line)
        found = Swallowed(
            module=state.name,
            first=statement.body[0].lineno,
            failed=failed,
            handler=handler.lineno,
            stop=stop,
            bound=names,
        )
        if found not in self._stage.swallowed:
            self._stage.swallowed.append(found)

    def _with(self, statement: ast.With, state: State, literals: Literals, caught: Stop | None) -> Run:
        stop = yield from self._body(statement.body, state, literals, caught)
        return None if suppresses(statement) else stop

    def _loop(self, statement: ast.For | ast.While, state: State, literals: Literals, caught: Stop | None) -> Run:
        if isinstance(statement, ast.For) and isinstance(statement.iter, (ast.Tuple, ast.List)) and statement.iter.elts:
            if isinstance(statement.target, ast.Name):
                literals = {**literals, statement.target.id: tuple(literal_strings(statement.iter))}
            state.bound.update(bound_names(statement))
            return (yield from self._body(statement.body, state, literals, caught))
        state.bound.update(bound_names(statement))
        state.forget(bound_names(statement))
        assert state.parsed is not None  # noqa: S101  it runs
        return self._stage.effect(
            version_demanded(statement, state.parsed, self._stage.exports, self._stage.environment), state
        )

    def _raise(self, statement: ast.Raise, state: State, caught: Stop | None) -> Stop:
        name = raised_name(statement, caught)
        if caught is not None and name is None:
            return caught
        parsed = state.parsed
        assert parsed is not None  # noqa: S101  it runs
        text = message_of(
            statement, lambda node: self._stage.exports.conditions.value(node, parsed, state.names or {})
        ) or ast.unparse(statement)  # fmt: skip
        stop = self._stage.stop(StopKind.RAISED, state.name, name or "Exception", text)
        return replace(stop, cause=caught)
