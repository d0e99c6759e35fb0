"""Code: what was asked about, parsed, beside the source of the environment that it would run in."""

from __future__ import annotations

__all__ = ["UnreadableCode", "UserCode", "read_code"]

import ast
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.need import Need
from mixprec_doctor.rehearsal import SERVERS, Rehearsal, Stop, Swallowed
from mixprec_doctor.resolving.importcalls import suppresses
from mixprec_doctor.resolving.needs import NeedFinder
from mixprec_doctor.resolving.providers import required_packages
from mixprec_doctor.source.conditions import FailedTry
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.module import Branch, Guard, ParsedModule, UnparsableModule, parse_module, parse_source
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.truth import Truth
from mixprec_doctor.usercode.facts import changes_environment, machine_facts
from mixprec_doctor.usercode.libraries import unloadable_in

MAIN = "__main__"


class UnreadableCode(MixprecError):
    """The code is no Python, or its file cannot be read."""

    def __init__(self, place: str, fault: str) -> None:
        super().__init__(place, fault)
        self.place = place
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.place}: {self.fault}"


@dataclass(frozen=True, kw_only=True)
class UserCode:
    """Some lines of Python, and the source of what they could import. Nothing of either is run."""

    place: str  # "the code", or its file
    parsed: ParsedModule
    exports: Exports
    environment: Environment
    rehearsal: Rehearsal  # of these lines: what was entered, and what a try took without a word
    stop: Stop | None  # how the imports of these lines end; None: they run through, as far as reading tells
    _finders: dict[str, NeedFinder] = field(default_factory=dict)

    def packages(self) -> set[str]:
        """The top-level packages that the code imports."""
        return {name.partition(".")[0] for _, name in self.imported_modules()}

    def imported_modules(self) -> Iterator[tuple[ast.stmt, str]]:
        """Every import that certainly is meant to work: the statement and the module it names."""
        for statement in self.imports():
            if isinstance(statement, ast.Import):
                yield from ((statement, alias.name) for alias in statement.names)
            elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
                yield statement, statement.module

    def imports(self) -> Iterator[ast.Import | ast.ImportFrom]:
        """Import statements anywhere in the code, but for those that a try or TYPE_CHECKING guards."""
        yield from _imports(self.parsed.tree.body, self._runs)

    def _runs(self, statement: ast.If) -> Truth:
        guard = Guard(branch=Branch.IF, line=statement.lineno, test=statement.test)
        return self.exports.conditions.judge(guard, self.parsed)

    def calls(self) -> Iterator[ast.Call]:
        """Every call in the code."""
        for node in ast.walk(self.parsed.tree):
            if isinstance(node, ast.Call):
                yield node

    def concerns(self, name: str) -> bool:
        """Whether a dotted import name has to do with this code.

        It does when an import statement of the code, or of what that imports, names its package, taken or not; or
        when a package so named requires the distribution that holds it. No engine is dragged in that way.
        """
        top = name.partition(".")[0]
        mentioned = {each.partition(".")[0] for each in self.rehearsal.mentioned}
        if top in mentioned or top in SERVERS:
            return top in mentioned
        return top in required_packages(self.environment, mentioned)

    def ends_at(self, names: Iterable[str]) -> bool:
        """Whether one of some dotted import names is what the imports of these lines end at."""
        root = self.stop.root if self.stop is not None else None
        return root is not None and any(
            name == root.wanted or root.wanted.startswith(f"{name}.") or name.startswith(f"{root.wanted}.")
            for name in names
        )

    def swallowed(self, module: str, name: str) -> Swallowed | None:
        """The fault that a ``try`` took before its handler bound a name of a module."""
        found = (each for each in self.rehearsal.swallowed if each.module == module and name in each.bound)
        return next(found, None)

    def missing(self, module: str) -> tuple[Need, ...]:
        """What importing a module needs and the environment lacks."""
        top = module.partition(".")[0]
        if top not in self._finders:
            self._finders[top] = NeedFinder(self.exports, self.environment, engine=top)
        return self._finders[top].missing(module)

    def way_to(self, stop: Stop) -> tuple[str, ...]:
        """The statements on the way to a stop, from these lines inwards."""
        return tuple(
            f"{self.place if step.module == MAIN else step.path or step.module}, line {step.line}: {step.statement}"
            for step in stop.trail
            if step.line
        )

    def line(self, node: ast.stmt | ast.expr) -> str:
        """The line that a node begins on, as it stands in the code."""
        return self.parsed.lines[node.lineno - 1].decode("utf-8", errors="replace").strip()


def read_code(asked: str, environment: Environment, machine: Machine, *, beside: Iterable[str] = ()) -> UserCode:
    """The code given as text, or as ``@file``; beside the sources of the environment it is asked about.

    ``beside`` are the folders that Python would look into first; of a file it is its own folder that comes first.
    """
    folders = [Path(asked[1:]).absolute().parent] if asked.startswith("@") else []
    sources = Sources.of_environment(environment, beside=[*folders, *map(Path, beside)])
    place, source = "the code", asked.encode()
    if asked.startswith("@"):
        place = asked[1:]
        try:
            source = Path(place).read_bytes()
        except OSError as fault:
            raise UnreadableCode(place, fault.strerror or str(fault)) from None
    try:
        parse_source(source)
        parsed = parse_module(MAIN, source, is_package=False, whole=True)
    except UnparsableModule as fault:
        raise UnreadableCode(place, fault.fault) from None
    except (SyntaxError, ValueError) as fault:
        line = f"line {fault.lineno}: {fault.msg}" if isinstance(fault, SyntaxError) else str(fault)
        raise UnreadableCode(place, line) from None
    environ = None if changes_environment(parsed) else os.environ
    sources.facts = machine_facts(machine, environment, sources, environ)
    sources.adopt(parsed)
    rehearsal = Rehearsal(Exports(sources), environment, unloadable=unloadable_in(environment))
    stop = rehearsal.run(parsed)
    exports = Exports(sources)  # a new one: what was looked up before did not know which imports fail
    for each in rehearsal.swallowed:
        known = FailedTry(first=each.first, failed=each.failed, handler=each.handler, why=str(each.stop))
        exports.conditions.settle(each.module, known)
    return UserCode(
        place=place, parsed=parsed, exports=exports, environment=environment, rehearsal=rehearsal, stop=stop
    )


def _imports(body: list[ast.stmt], runs: Callable[[ast.If], Truth]) -> Iterator[ast.Import | ast.ImportFrom]:
    for statement in body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield statement
        elif isinstance(statement, ast.If):
            holds = Truth.NO if "TYPE_CHECKING" in ast.unparse(statement.test) else runs(statement)
            yield from _imports(statement.body if holds is not Truth.NO else [], runs)
            yield from _imports(statement.orelse if holds is not Truth.YES else [], runs)
        elif isinstance(statement, ast.Try):
            if not statement.handlers:
                yield from _imports(statement.body, runs)
            yield from _imports([*statement.orelse, *statement.finalbody], runs)
        elif not (isinstance(statement, ast.With) and suppresses(statement)):
            for part in ("body", "orelse"):
                inner = getattr(statement, part, None)
                if isinstance(inner, list):
                    yield from _imports(inner, runs)
