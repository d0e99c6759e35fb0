"""State: how far a module has run, and which of its names are bound by then."""

from __future__ import annotations

__all__ = ["SERVERS", "State", "bound_names"]

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mixprec_doctor.records.need import Step
from mixprec_doctor.resolving.importgraph import ImportGraph
from mixprec_doctor.resolving.layout import LAYOUTS
from mixprec_doctor.source.expressions import OPEN
from mixprec_doctor.source.module import ParsedModule
from mixprec_doctor.source.walking import walk

_BINDERS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
SERVERS = frozenset(layout.engine for layout in LAYOUTS)  # packages that are followed wherever they are imported


@dataclass(kw_only=True)
class State:
    """One module of a rehearsal. It changes while the module runs, so it is no record."""

    name: str
    parsed: ParsedModule | None
    graph: ImportGraph
    position: ast.stmt | None = None  # the statement that runs
    bound: set[str] = field(default_factory=set)
    is_open: bool = False  # it may have bound names that reading does not tell
    is_complete: bool = False
    names: dict[str, object] | None = None  # of a function that the module calls: values of its local names

    def has(self, name: str) -> bool:
        """Whether a name is bound by now, for all that is known."""
        return self.is_open or name in self.bound or "__getattr__" in self.bound

    def forget(self, names: Iterator[str]) -> None:
        """Local names of a function that a branch or loop may have bound anew."""
        if self.names is not None:
            self.names.update(dict.fromkeys(names, OPEN))

    def graph_of(self, module: str, own: Callable[[str], ImportGraph]) -> ImportGraph:
        """The graph that says what there is of a module: its own for an engine, and for what the main lines name."""
        top = module.partition(".")[0]
        return own(top) if top in SERVERS or self.name == "__main__" else self.graph

    def step(self) -> Step:
        """Where the module stands."""
        parsed, statement = self.parsed, self.position
        if parsed is None:
            return Step(module=self.name, path=None)
        path = self.name.replace(".", "/") + ("/__init__.py" if parsed.is_package else ".py")
        if statement is None:
            return Step(module=self.name, path=path)
        lines = parsed.lines[statement.lineno - 1 : statement.end_lineno]
        text = " ".join(b" ".join(lines).decode("utf-8", errors="replace").split())
        return Step(module=self.name, path=path, line=statement.lineno, statement=text)


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds, those of statements inside of it included; star imports give ``*``."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
        return
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        for alias in statement.names:
            plain = alias.name if isinstance(statement, ast.ImportFrom) else alias.name.partition(".")[0]
            yield alias.asname or plain
        return
    for node in walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, (ast.MatchAs, ast.ExceptHandler)) and node.name:
            yield node.name
        elif node is not statement and isinstance(node, _BINDERS):
            yield from bound_names(node)
