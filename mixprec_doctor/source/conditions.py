"""Conditions: whether a guarded statement of a module runs, judged from the environment and not run."""

from __future__ import annotations

__all__ = ["Conditions", "FailedTry", "Names"]

import ast
import builtins
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from mixprec_doctor.environment.engines import ENGINES
from mixprec_doctor.source.expressions import Expressions
from mixprec_doctor.source.module import Branch, Guard, ParsedModule, caught
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.tree import has_extension, module_files
from mixprec_doctor.source.truth import Truth, every, some

_MISSING, _FAILED = "ModuleNotFoundError", "ImportError"
_IMPORT_LINE = re.compile(rb"^(?:from[ \t]+([.\w]+)[ \t]+import\b|import[ \t]+([^\n#;]+))", re.MULTILINE)
_MOST_READ = 60  # modules looked into to see whether one import succeeds


class Names(Protocol):
    """What conditions need to know of names: it is Exports that answers."""

    def look_up(self, module: str, name: str) -> object:
        """Where a name comes from."""


@dataclass(frozen=True, kw_only=True)
class FailedTry:
    """A try of a module that certainly fails, known from more than its own statements."""

    first: int  # line of the first statement of its body
    failed: int  # line at which the body fails
    handler: int  # line of the handler that takes it
    why: str


class Conditions:
    """Judges guards. What the source and the environment do not decide stays UNKNOWN."""

    def __init__(self, sources: Sources, names: Names) -> None:
        self._sources = sources
        self._names = names
        self._open: set[int] = set()  # imports being judged
        self._expressions = Expressions(sources, self.judge)
        self._broken: dict[str, str | None] = {}  # modules, and the import without which they fail
        self._imports: dict[str, list[str]] = {}  # what such a module imports at its top level
        self._failed: dict[tuple[str, int], FailedTry] = {}
        self._all_known = sources.has_module("no such package") is Truth.NO

    def has_module(self, name: str) -> Truth:
        """Whether a module is there; what lies below a compiled one is made by it, and not for us to deny."""
        there = self._sources.has_module(name)
        if there is Truth.NO and (tree := self._sources.tree(name.partition(".")[0])) is not None:
            parts = name.split(".")
            if any(has_extension(tree, ".".join(parts[:length])) for length in range(1, len(parts))):
                return Truth.UNKNOWN
        return there

    def settle(self, module: str, failed: FailedTry) -> None:
        """Take it as known that a try fails; to be said before anything is asked."""
        self._failed[module, failed.first] = failed

    def judge(self, guard: Guard, parsed: ParsedModule) -> Truth:
        """Whether the branch runs."""
        if (known := self._known(guard, parsed)) is not None:
            if guard.branch is Branch.EXCEPT:
                return Truth.of(guard.line == known.handler)
            return Truth.of(guard.branch is Branch.TRY and not _reaches(guard.before, known.failed))
        if guard.branch is Branch.IF and guard.test is not None:
            return self._expressions.truth(guard.test, parsed)
        if guard.branch is Branch.ELSE and guard.test is not None:
            return ~self._expressions.truth(guard.test, parsed)
        if guard.branch in (Branch.TRY, Branch.TRY_ELSE):
            return self._succeeds(guard.before, parsed)
        if guard.branch is Branch.EXCEPT:
            return self._handles(guard, parsed)
        return Truth.UNKNOWN

    def truth(self, test: ast.expr, parsed: ParsedModule, given: Mapping[str, object]) -> Truth:
        """Whether a test in a function holds, for some values of its parameters."""
        return self._expressions.truth(test, parsed, given)

    def value(self, node: ast.expr, parsed: ParsedModule, given: Mapping[str, object]) -> object:
        """What an expression in a function gives, for some values of its names; OPEN when that is not decided."""
        return self._expressions.inside(node, given, parsed)

    def text(self, guard: Guard, parsed: ParsedModule) -> str | None:
        """The condition in words of the source; None for one that certainly holds."""
        return None if self.judge(guard, parsed) is Truth.YES else self._words(guard, parsed)

    def _words(self, guard: Guard, parsed: ParsedModule) -> str:
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
            if (known := self._known(guard, parsed)) is not None:
                return known.why
            for statement in guard.before:
                if self._import_succeeds(statement, parsed) is not Truth.YES and (
                    failing := self.failing_import(statement, parsed)
                ):
                    return failing
        return self._words(guard, parsed) if guard.test is not None else self.text(guard, parsed)

    def failing_import(self, statement: ast.stmt, parsed: ParsedModule) -> str | None:
        """The fault of the first import in a statement that cannot succeed."""
        if isinstance(statement, ast.ImportFrom):
            target = parsed.absolute(statement)
            for alias in statement.names:
                fault = getattr(self._names.look_up(target or "", alias.name), "fault", None)
                if isinstance(fault, str):
                    return fault
            return self._broken_by(target or "", parsed)
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if self.has_module(alias.name) is Truth.NO:
                    return f"no module named {alias.name}"
                if broken := self._broken_by(alias.name, parsed):
                    return broken
        if isinstance(statement, ast.Raise):
            return f"line {statement.lineno} raises {_raised(statement) or 'again'}"
        for inner in _taken(statement):
            if self._import_succeeds(inner, parsed) is Truth.NO:
                return self.failing_import(inner, parsed)
        return None

    def _known(self, guard: Guard, parsed: ParsedModule) -> FailedTry | None:
        return self._failed.get((parsed.name, guard.before[0].lineno)) if guard.before and self._failed else None

    def _handles(self, guard: Guard, parsed: ParsedModule) -> Truth:
        """Whether a handler runs: the body fails with what it takes, and no handler above takes it."""
        failed = ~self._succeeds(guard.before, parsed)
        if failed is not Truth.YES:
            return failed
        fault = self._fault(guard.before, parsed)
        if fault is None:
            return Truth.UNKNOWN
        return every((~_takes(self._taken_by(guard.earlier, parsed), fault),
                      _takes(self._taken_by(guard.handled, parsed), fault)))  # fmt: skip

    def _taken_by(self, names: Iterable[str], parsed: ParsedModule) -> Iterator[str]:
        """The names of exceptions, those in a tuple of the module included."""
        for name in names:
            bound = parsed.by_name.get(name, ())
            tuples = [each.value for each in bound if isinstance(each.value, ast.Tuple)]
            yield from caught(tuples[-1]) if tuples else (name,)

    def _fault(self, statements: Iterable[ast.stmt], parsed: ParsedModule) -> str | None:
        """The exception of the first statement that fails; None when that is not certain."""
        for statement in statements:
            succeeds = self._import_succeeds(statement, parsed)
            if succeeds is Truth.YES:
                continue
            if succeeds is Truth.UNKNOWN:
                return None
            if isinstance(statement, ast.Raise):
                return _raised(statement)
            if isinstance(statement, ast.Import):
                return _MISSING
            if isinstance(statement, ast.ImportFrom):
                target = parsed.absolute(statement) or ""
                missing = self.has_module(target) is Truth.NO or self._broken_by(target, parsed)
                return _MISSING if target and missing else _FAILED
            return self._fault(_taken(statement), parsed)
        return None

    def _succeeds(self, statements: Iterable[ast.stmt], parsed: ParsedModule) -> Truth:
        return every(self._import_succeeds(statement, parsed) for statement in statements)

    def _import_succeeds(self, statement: ast.stmt, parsed: ParsedModule) -> Truth:
        """Imports are judged; any other statement of a try body is taken to succeed."""
        if isinstance(statement, ast.Import):
            return every(self._module_there(alias.name, parsed) for alias in statement.names)
        if isinstance(statement, ast.ImportFrom):
            return self._from_succeeds(statement, parsed)
        if isinstance(statement, ast.If):
            taken = self._expressions.truth(statement.test, parsed)
            body = self._succeeds(statement.body, parsed)
            orelse = self._succeeds(statement.orelse, parsed)
            return some((every((taken, body)), every((~taken, orelse))))
        if isinstance(statement, ast.Try):
            return self._try_succeeds(statement, parsed)
        return Truth.of(not isinstance(statement, ast.Raise))

    def _try_succeeds(self, statement: ast.Try, parsed: ParsedModule) -> Truth:
        """A try succeeds with its body and else, or with the handler that takes its fault."""
        before, earlier = tuple(statement.body), tuple[str, ...]()
        ways = [every((self._succeeds(before, parsed), self._succeeds(statement.orelse, parsed)))]
        for handler in statement.handlers:
            own = tuple(caught(handler.type))
            guard = Guard(branch=Branch.EXCEPT, line=handler.lineno, before=before, handled=own, earlier=earlier)
            ways.append(every((self._handles(guard, parsed), self._succeeds(handler.body, parsed))))
            earlier += own
        return every((some(ways), self._succeeds(statement.finalbody, parsed)))

    def _module_there(self, module: str, parsed: ParsedModule) -> Truth:
        there = self.has_module(module)
        return Truth.NO if there is Truth.YES and self._broken_by(module, parsed) else there

    def _broken_by(self, module: str, parsed: ParsedModule) -> str | None:
        """The missing module that a module, or a package above it, needs without a guard.

        Packages above the asking module are being imported already; and the search ends after some modules, as
        most imports do succeed.
        """
        if not self._all_known:
            return None
        parts = module.split(".")
        waiting = [".".join(parts[: end + 1]) for end in range(len(parts))]
        seen = {parsed.name, *(name for name in waiting if f"{parsed.name}.".startswith(f"{name}."))}
        read: list[str] = []
        while waiting and len(read) < _MOST_READ:
            current = waiting.pop(0)
            if current in seen:
                continue
            seen.add(current)
            if current not in self._broken:
                self._broken[current] = self._missing_in(current)
            if fault := self._broken[current]:
                return fault
            read.append(current)
            waiting += self._imports.get(current, ())
        return None

    def _missing_in(self, module: str) -> str | None:
        """The first missing module among the plain imports of a module; the others are noted to be looked into."""
        text = self._sources.text(module)
        self._imports[module] = []
        for line in _IMPORT_LINE.finditer(text or b""):
            for name in self._named(line, module):
                if self.has_module(name) is Truth.YES:
                    self._imports[module].append(name)
                elif self.has_module(name) is Truth.NO and self._is_plain(line.start(), module):
                    return f"no module named {self._shortest(name)}"
        return None

    def _named(self, line: re.Match[bytes], module: str) -> list[str]:
        """The modules that a line of imports names."""
        if line[2]:
            return [part.split()[0].decode() for part in line[2].split(b",") if part.strip()]
        name = line[1].decode()
        level = len(name) - len(name.lstrip("."))
        if not level:
            return [name]
        tree = self._sources.tree(module.partition(".")[0])
        up = level - (1 if tree is not None and tree.has(module_files(module)[0]) else 0)
        parts = module.split(".")
        return [".".join(filter(None, (*parts[: len(parts) - up], name.lstrip("."))))] if up < len(parts) else []

    def _is_plain(self, offset: int, module: str) -> bool:
        """Whether a line is a statement without a guard, and no line of a text."""
        parsed, text = self._sources.module(module), self._sources.text(module) or b""
        line = text.count(b"\n", 0, offset) + 1
        return parsed is not None and any(each.line == line and not each.guards for each in parsed.bindings)

    def _shortest(self, module: str) -> str:
        """The shortest part of a dotted name that is not there."""
        parts = module.split(".")
        names = (".".join(parts[:length]) for length in range(1, len(parts)))
        return next((name for name in names if self.has_module(name) is Truth.NO), module)

    def _from_succeeds(self, statement: ast.ImportFrom, parsed: ParsedModule) -> Truth:
        target = parsed.absolute(statement)
        if not target:
            return Truth.NO
        there = self._module_there(target, parsed)
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
            return self.has_module(f"{module}.{name}")
        top = module.partition(".")[0]
        if top != parsed.name.partition(".")[0] and top not in ENGINES:
            return Truth.YES
        if getattr(self._names.look_up(module, name), "fault", None) is None:
            return Truth.YES
        return Truth.UNKNOWN if dynamic else Truth.NO


def _reaches(statements: Iterable[ast.stmt], line: int) -> bool:
    """Whether a line stands in one of the statements."""
    return any(each.lineno <= line <= (each.end_lineno or each.lineno) for each in statements)


def _takes(handled: Iterable[str], fault: str) -> Truth:
    """Whether a handler of these exceptions takes a fault; an exception of a library may be anything."""
    found = Truth.NO
    raised = getattr(builtins, fault, None)
    for name in handled:
        wanted = getattr(builtins, name, None)
        if name in (fault, "BaseException", "Exception"):
            return Truth.YES
        if not isinstance(wanted, type) or not isinstance(raised, type):
            found = Truth.UNKNOWN
        elif issubclass(raised, wanted):
            return Truth.YES
    return found


def _raised(statement: ast.Raise) -> str | None:
    """The name of the exception that a statement raises; None for one that raises again."""
    raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
    return caught(raised)[0] if isinstance(raised, (ast.Name, ast.Attribute)) else None


def _taken(statement: ast.stmt) -> list[ast.stmt]:
    """The statements inside of a compound one, in order."""
    parts = [getattr(statement, part, []) for part in ("body", "orelse")]
    return [inner for part in parts for inner in part if isinstance(inner, ast.stmt)]
