"""Conditions: whether a guarded statement of a module runs, judged from the environment and not run."""

from __future__ import annotations

__all__ = ["Conditions", "Names"]

import ast
import operator
import re
from collections.abc import Callable
from typing import Any, Protocol

from mixprec_doctor.environment.engines import ENGINES
from mixprec_doctor.source.module import Branch, Guard, ParsedModule
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth, every, some

_CATCHES_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt,
    ast.LtE: operator.le, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


class Names(Protocol):
    """What conditions need to know of names: it is Exports that answers."""

    def look_up(self, module: str, name: str) -> object:
        """Where a name comes from."""


class Conditions:
    """Judges guards. What the source and the environment do not decide stays UNKNOWN."""

    def __init__(self, sources: Sources, names: Names) -> None:
        self._sources = sources
        self._names = names
        self._open: set[int] = set()  # imports being judged
        self._flags: set[tuple[str, str]] = set()  # flags being followed

    def judge(self, guard: Guard, parsed: ParsedModule) -> Truth:
        """Whether the branch runs."""
        if guard.branch is Branch.IF and guard.test is not None:
            return self._test(guard.test, parsed)
        if guard.branch is Branch.ELSE and guard.test is not None:
            return ~self._test(guard.test, parsed)
        if guard.branch in (Branch.TRY, Branch.TRY_ELSE):
            return self._succeeds(guard.before, parsed)
        if guard.branch is Branch.EXCEPT:
            failed = ~self._succeeds(guard.before, parsed)
            catches = bool(_CATCHES_IMPORT_ERRORS.intersection(guard.handled))
            return failed if catches else every((failed, Truth.UNKNOWN))
        return Truth.UNKNOWN

    def text(self, guard: Guard, parsed: ParsedModule) -> str | None:
        """The condition in words of the source; None for one that certainly holds."""
        if self.judge(guard, parsed) is Truth.YES:
            return None
        if guard.branch is Branch.IF and guard.test is not None:
            return parsed.text(guard.test)
        if guard.branch is Branch.ELSE and guard.test is not None:
            return f"not ({parsed.text(guard.test)})"
        if guard.branch in (Branch.TRY, Branch.TRY_ELSE):
            return f"the imports of the try on line {guard.line} succeed"
        if guard.branch is Branch.EXCEPT:
            return f"the imports before the except on line {guard.line} fail"
        return f"line {guard.line} is reached"

    def reason(self, guard: Guard, parsed: ParsedModule) -> str | None:
        """Why a branch that holds a placeholder runs, naming the import that fails."""
        if guard.branch is Branch.EXCEPT:
            for statement in guard.before:
                if self._import_succeeds(statement, parsed) is not Truth.YES and (
                    failing := self.failing_import(statement, parsed)
                ):
                    return failing
        return self.text(guard, parsed)

    def failing_import(self, statement: ast.stmt, parsed: ParsedModule) -> str | None:
        """The fault of the first import in a statement that cannot succeed."""
        if isinstance(statement, ast.ImportFrom):
            target = parsed.absolute(statement)
            for alias in statement.names:
                fault = getattr(self._names.look_up(target or "", alias.name), "fault", None)
                if isinstance(fault, str):
                    return fault
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if self._sources.has_module(alias.name) is Truth.NO:
                    return f"no module named {alias.name}"
        return None

    def _succeeds(self, statements: tuple[ast.stmt, ...], parsed: ParsedModule) -> Truth:
        return every(self._import_succeeds(statement, parsed) for statement in statements)

    def _import_succeeds(self, statement: ast.stmt, parsed: ParsedModule) -> Truth:
        """Imports are judged; any other statement of a try body is taken to succeed."""
        if isinstance(statement, ast.Import):
            return every(self._sources.has_module(alias.name) for alias in statement.names)
        if isinstance(statement, ast.ImportFrom):
            return self._from_succeeds(statement, parsed)
        if isinstance(statement, ast.If):
            taken = self._test(statement.test, parsed)
            body = self._succeeds(tuple(statement.body), parsed)
            orelse = self._succeeds(tuple(statement.orelse), parsed)
            return some((every((taken, body)), every((~taken, orelse))))
        if isinstance(statement, ast.Raise):
            return Truth.NO
        return Truth.YES

    def _from_succeeds(self, statement: ast.ImportFrom, parsed: ParsedModule) -> Truth:
        target = parsed.absolute(statement)
        if not target:
            return Truth.NO
        there = self._sources.has_module(target)
        if there is not Truth.YES or id(statement) in self._open:
            return there
        self._open.add(id(statement))
        try:
            return every(self._name_there(target, alias.name, parsed) for alias in statement.names)
        finally:
            self._open.discard(id(statement))

    def _name_there(self, module: str, name: str, parsed: ParsedModule) -> Truth:
        """Whether a module offers a name.

        The module's own package is followed to the end; of another one, unless it is an engine, it is
        enough that the name stands in the text: parsing all of torch to be surer would take seconds.
        """
        text = self._sources.text(module)
        if name == "*" or text is None:
            return Truth.YES  # compiled, a namespace folder, or the library: its names are not at hand
        dynamic = any(mark in text for mark in (b"import *", b"__getattr__", b"globals()", b"exec("))
        if re.search(rb"\b%s\b" % re.escape(name).encode(), text) is None and not dynamic:
            return self._sources.has_module(f"{module}.{name}")
        top = module.partition(".")[0]
        if top != parsed.name.partition(".")[0] and top not in ENGINES:
            return Truth.YES
        if getattr(self._names.look_up(module, name), "fault", None) is None:
            return Truth.YES
        return Truth.UNKNOWN if dynamic else Truth.NO

    def _test(self, test: ast.expr, parsed: ParsedModule) -> Truth:
        truth = Truth.UNKNOWN
        if isinstance(test, ast.Constant):
            truth = Truth.of(bool(test.value))
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            truth = ~self._test(test.operand, parsed)
        elif isinstance(test, ast.BoolOp):
            join = every if isinstance(test.op, ast.And) else some
            truth = join([self._test(value, parsed) for value in test.values])
        elif isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING":
            truth = Truth.NO
        elif isinstance(test, ast.Name):
            truth = self._flag(test.id, parsed)
        elif isinstance(test, ast.Compare) and len(test.ops) == 1:
            truth = self._compare(test, parsed)
        return truth

    def _flag(self, name: str, parsed: ParsedModule) -> Truth:
        """A module-level flag such as ``VLLM_AVAILABLE``, when what it is set to can be followed."""
        if name == "TYPE_CHECKING":
            return Truth.NO
        key = (parsed.name, name)
        if key in self._flags:  # `if FLAG: FLAG = ...`
            return Truth.UNKNOWN
        self._flags.add(key)
        try:
            return self._value_of(name, parsed)
        finally:
            self._flags.discard(key)

    def _value_of(self, name: str, parsed: ParsedModule) -> Truth:
        """The truth value of the last binding of a flag that runs."""
        for binding in reversed(parsed.by_name.get(name, ())):
            runs = every(self.judge(guard, parsed) for guard in binding.guards)
            if runs is Truth.NO:
                continue
            value = binding.value
            if runs is Truth.YES and isinstance(value, ast.Constant) and isinstance(value.value, bool):
                return Truth.of(value.value)
            return Truth.UNKNOWN
        return Truth.UNKNOWN

    def _compare(self, test: ast.Compare, parsed: ParsedModule) -> Truth:
        left, right = parsed.text(test.left), test.comparators[0]
        compare = _COMPARE.get(type(test.ops[0]))
        if left == "sys.version_info" and compare and self._sources.python and isinstance(right, ast.Tuple):
            wanted = tuple(each.value for each in right.elts if isinstance(each, ast.Constant))
            return Truth.of(compare(self._sources.python[: len(wanted)], wanted))
        if left == "sys.platform" and compare and self._sources.platform and isinstance(right, ast.Constant):
            return Truth.of(compare(self._sources.platform, right.value))
        return Truth.UNKNOWN
