"""The import graph: what each module imports while it is itself imported, read and not run.

An edge is certain, or it has a condition. What a try statement catches makes no edge: such an import may fail.
"""

from __future__ import annotations

__all__ = ["Edge", "Fault", "FaultKind", "ImportGraph"]

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from enum import Enum

from mixprec_doctor.records.resolution import How
from mixprec_doctor.resolving.importcalls import (
    IMPORTERS,
    Literals,
    called_imports,
    caught_names,
    literal_strings,
    suppresses,
)
from mixprec_doctor.resolving.offers import Offer, Offers, listed_names
from mixprec_doctor.resolving.providers import Providers, known_prefix
from mixprec_doctor.source.exports import Exports, Found
from mixprec_doctor.source.module import Branch, Guard, ParsedModule
from mixprec_doctor.source.truth import Truth

_CATCHES_ALL = frozenset({"ImportError", "Exception", "BaseException"})
_LAZY = re.compile(rb"LazyModule|LazyImporter|lazy_loader")
_DECLARED = re.compile(rb"(?m)^(?:class|(?:async )?def) ([A-Za-z_]\w*)|^([A-Za-z_]\w*)[ \t]*(?::[^\n=]*)?=[^=]")


class FaultKind(Enum):
    """How an import fails."""

    ABSENT = "absent"  # the whole package
    NO_MODULE = "no module"  # the package is there, the module below it is not
    NO_NAME = "no name"  # the module is there, the name in it is not


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An import that would fail. ``wanted`` is the dotted name as asked for."""

    kind: FaultKind
    import_name: str
    wanted: str


@dataclass(frozen=True, kw_only=True)
class Edge:
    """What one import statement leads to: a module that runs, or a fault."""

    statement: ast.stmt
    enters: str | None = None
    fault: Fault | None = None
    condition: str | None = None  # source text; None: it certainly runs


class ImportGraph:
    """Edges of modules, each read once. The engine is read whole, another package only as far as it is in doubt."""

    def __init__(self, exports: Exports, *, offers: Offers, providers: Providers | None, engine: str) -> None:
        self._exports = exports
        self.sources = exports.sources
        self.conditions = exports.conditions
        self._offers = offers
        self._providers = providers
        self._engine = engine
        self._edges: dict[str, tuple[Edge, ...]] = {}
        self._faults: dict[str, Fault | None] = {}
        self._reading: set[str] = set()  # modules whose edges are being read
        self._cut = False  # whether a circle through one of them was cut
        self._homes: dict[str, Mapping[str, tuple[str, ...]]] = {}

    def edges(self, module: str) -> tuple[Edge, ...]:
        """The edges of a module in the order in which it runs; empty for one that is trusted."""
        if module not in self._edges:
            parsed = self.sources.module(module) if self.is_followed(module) else None
            self._reading.add(module)
            try:
                found = _Reader(self, parsed).read() if parsed else []
            finally:
                self._reading.discard(module)
            self._edges[module] = tuple(edge for edge in found if edge.fault is None or self.counts(edge.fault, module))
        return self._edges[module]

    def first_fault(self, module: str) -> Fault | None:
        """The first fault that certainly ends an import of the module; None when none does."""
        if module in self._faults:
            return self._faults[module]
        outermost = not self._reading
        seen = {module}
        stack = [iter(self._certain(module))]
        while stack:
            edge = next(stack[-1], None)
            if edge is None:
                stack.pop()
                continue
            fault = edge.fault or self._faults.get(edge.enters or "")
            if fault is not None:
                self._faults[module] = fault
                return fault
            if edge.enters is not None and edge.enters not in seen and edge.enters not in self._faults:
                seen.add(edge.enters)
                stack.append(iter(self._certain(edge.enters)))
        if outermost or not self._cut:
            self._faults.update(dict.fromkeys(seen))
        self._cut = self._cut and not outermost
        return None

    def is_followed(self, module: str) -> bool:
        """Whether a module is read: the engine's own, and those of a distribution that misses something."""
        top = module.partition(".")[0]
        if top == self._engine:
            return True
        if top in sys.stdlib_module_names or self._providers is None:
            return False
        return bool(self._providers.doubts(module))

    def is_exhausted(self, module: str, found: Set[str]) -> bool:
        """Whether all that a package outside of the engine could lack has been found already."""
        return self._providers is not None and not self.is_own(module) and self._providers.doubts(module) <= found

    def reach(self, statement: ast.stmt, wanted: str) -> Iterator[Edge]:
        """Importing a dotted name: every package on the way runs, the outermost first."""
        parts = wanted.split(".")
        for length in range(1, len(parts) + 1):
            part = ".".join(parts[:length])
            if self._offers.has_module(part) is Truth.NO:
                yield Edge(statement=statement, fault=self._absent(part, wanted))
                return
            yield Edge(statement=statement, enters=part)

    def reach_name(self, statement: ast.stmt, module: str, name: str, *, asker: str) -> Iterator[Edge]:
        """``from module import name`` once the module has run: the name, or a module below it."""
        if self._is_trusted(module, name):
            return
        offer = self._offers.offer(module, name)
        wanted = f"{module}.{name}"
        if offer is Offer.SUBMODULE:
            yield Edge(statement=statement, enters=wanted)
        elif offer is Offer.NOTHING:
            yield Edge(statement=statement, fault=self._lacking(module, wanted))
        elif offer is Offer.UNKNOWN and (home := self._lazy_home(module, name)) is not None:
            yield from self.reach(statement, home)
        elif offer is Offer.UNKNOWN and self.is_own(asker) and self._is_nowhere(module, name):
            yield Edge(statement=statement, fault=self._lacking(module, wanted))

    def is_own(self, module: str) -> bool:
        """Whether a module is of the package that the graph is about."""
        return module.partition(".")[0] == self._engine

    def _is_trusted(self, module: str, name: str) -> bool:
        """A package in the version that the engine asks for, which mentions the name, is not read for it."""
        if self._providers is None or self.is_followed(module) or self._providers.fits(module) is not Truth.YES:
            return False
        return name.encode() in (self.sources.text(module) or b"")

    def _certain(self, module: str) -> Iterable[Edge]:
        if module in self._reading:
            self._cut = True
            return ()
        return (edge for edge in self.edges(module) if edge.condition is None)

    def counts(self, fault: Fault, module: str) -> bool:
        """Of another package only what its own metadata requires, in vain, is believed to be missing."""
        if self.is_own(module) or self._providers is None:
            return True
        return self._providers.lacks(module, fault.wanted)

    def _absent(self, part: str, wanted: str) -> Fault:
        top = part.partition(".")[0]
        if part == top or self.sources.text(top) is None:  # nothing there, or a shared namespace
            name = prefix if (prefix := known_prefix(wanted)).startswith(part) else part
            return Fault(kind=FaultKind.ABSENT, import_name=name, wanted=wanted)
        return Fault(kind=FaultKind.NO_MODULE, import_name=part, wanted=part)

    def _lacking(self, module: str, wanted: str) -> Fault:
        if self.sources.text(module) is None:  # a namespace folder: what it lacks is a module
            return self._absent(wanted, wanted)
        return Fault(kind=FaultKind.NO_NAME, import_name=wanted, wanted=wanted)

    def _lazy_home(self, module: str, name: str) -> str | None:
        """The module that a lazy one imports for a name: as it tells type checkers, by its table, or by its files."""
        parsed = self.sources.module(module) if self.is_followed(module) else None
        if parsed is None or not ("__getattr__" in parsed.by_name or _LAZY.search(parsed.source)):
            return None
        for binding in parsed.by_name.get(name, ()):
            if isinstance(binding.statement, ast.ImportFrom):
                return parsed.absolute(binding.statement)
        found = self._exports.look_up(module, name)
        if isinstance(found, Found) and found.how is How.LAZY:
            return found.chain[1] if len(found.chain) > 1 else found.module
        if not (parsed.is_package and _LAZY.search(parsed.source)) or name.encode() in parsed.source:
            return None
        declared = self._declared(module.partition(".")[0]).get(name, ())
        homes = [each for each in declared if each.startswith(f"{module}.")]
        return homes[0] if len(homes) == 1 else None

    def _declared(self, package: str) -> Mapping[str, tuple[str, ...]]:
        """Top-level classes, functions and values of every file of a package, by name."""
        if package not in self._homes:
            homes: dict[str, list[str]] = {}
            for path, source in self._files(package):
                module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                for names in set(_DECLARED.findall(source)):
                    homes.setdefault((names[0] or names[1]).decode(), []).append(module)
            self._homes[package] = {name: tuple(found) for name, found in homes.items()}
        return self._homes[package]

    def _is_nowhere(self, module: str, name: str) -> bool:
        """Whether no file of a package that has the wrong version so much as mentions the name."""
        if self.is_own(module) or self._providers is None or self._providers.fits(module) is not Truth.NO:
            return False
        top, plain = module.partition(".")[0], name.encode()
        if plain in (self.sources.text(module) or b"") or name in self._declared(top):
            return False
        return not any(plain in source for _, source in self._files(top))

    def _files(self, package: str) -> Iterator[tuple[str, bytes]]:
        tree = self.sources.tree(package)
        for path in tree.walk(package) if tree else ():
            if tree is not None and (source := tree.read(path)) is not None:
                yield path, source


class _Reader:
    """Reads the edges of one module from its statements."""

    def __init__(self, graph: ImportGraph, parsed: ParsedModule) -> None:
        self._graph = graph
        self._parsed = parsed
        self._has_calls = any(name.encode() in parsed.source for name in IMPORTERS)

    def read(self) -> list[Edge]:
        return list(self._body(self._parsed.tree.body, {}))

    def _body(self, statements: Iterable[ast.stmt], literals: Literals) -> Iterator[Edge]:
        for statement in statements:
            yield from self._statement(statement, literals)
            if isinstance(statement, ast.Raise):
                return

    def _statement(self, statement: ast.stmt, literals: Literals) -> Iterator[Edge]:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield from self._graph.reach(statement, alias.name)
        elif isinstance(statement, ast.ImportFrom):
            yield from self._from(statement)
        elif isinstance(statement, ast.If):
            yield from self._if(statement, literals)
        elif isinstance(statement, ast.Try) or type(statement).__name__ == "TryStar":
            yield from self._try(statement, literals)  # type: ignore[arg-type]
        elif isinstance(statement, ast.With):
            yield from self._with(statement, literals)
        elif isinstance(statement, ast.ClassDef):
            yield from self._body(statement.body, literals)
        elif isinstance(statement, (ast.For, ast.While)):
            yield from self._loop(statement, literals)
        elif isinstance(statement, ast.Match):
            for case in statement.cases:
                yield from _under(f"line {case.pattern.lineno} is reached", self._body(case.body, literals))
        elif self._has_calls and not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from self._calls(statement, literals)

    def _from(self, statement: ast.ImportFrom) -> Iterator[Edge]:
        target = self._parsed.absolute(statement)
        if not target:
            return  # beyond the top level: no package that could be installed mends it
        failed = False
        for edge in self._graph.reach(statement, target):
            failed = edge.fault is not None
            yield edge
        for alias in () if failed else statement.names:
            for name in self._starred(target) if alias.name == "*" else (alias.name,):
                yield from self._graph.reach_name(statement, target, name, asker=self._parsed.name)

    def _starred(self, target: str) -> tuple[str, ...]:
        """The names in ``__all__`` that a star import looks for: modules below the package among them."""
        source = self._graph.sources.module(target) if self._graph.is_followed(target) else None
        return (listed_names(source) if source and source.is_package else None) or ()

    def _if(self, statement: ast.If, literals: Literals) -> Iterator[Edge]:
        guard = Guard(branch=Branch.IF, line=statement.lineno, test=statement.test)
        truth = Truth.NO if _is_main(statement.test) else self._graph.conditions.judge(guard, self._parsed)
        text = self._parsed.text(statement.test)
        for branch, runs, words in ((statement.body, truth, text), (statement.orelse, ~truth, f"not ({text})")):
            if runs is Truth.YES:
                yield from self._body(branch, literals)
            elif runs is Truth.UNKNOWN:
                yield from _under(words, self._body(branch, literals))

    def _try(self, statement: ast.Try, literals: Literals) -> Iterator[Edge]:
        """A body whose failure is caught makes no edges; where it certainly fails, its handler does."""
        body = list(self._body(statement.body, literals))
        fault = self._first_fault(body)
        handler = _handler(statement, fault)
        if fault is not None:
            if handler is None or _raises(handler):
                yield from body
            yield from self._body(handler.body, literals) if handler else ()
        else:
            yield from body if handler is None else ()
            yield from self._body(statement.orelse, literals)
            if handler is not None and any(edge.fault for edge in body):
                yield from _under(f"the try on line {statement.lineno} fails", self._body(handler.body, literals))
        yield from self._body(statement.finalbody, literals)

    def _with(self, statement: ast.With, literals: Literals) -> Iterator[Edge]:
        """``with suppress(ImportError)`` catches like a try; any other leaves its body as it is."""
        if suppresses(statement):
            return
        yield from self._body(statement.body, literals)

    def _loop(self, statement: ast.For | ast.While, literals: Literals) -> Iterator[Edge]:
        if isinstance(statement, ast.For) and isinstance(statement.iter, (ast.Tuple, ast.List)) and statement.iter.elts:
            if isinstance(statement.target, ast.Name):
                literals = {**literals, statement.target.id: tuple(literal_strings(statement.iter))}
            yield from self._body(statement.body, literals)
            return
        yield from _under(f"line {statement.lineno} is reached", self._body(statement.body, literals))

    def _calls(self, statement: ast.stmt, literals: Literals) -> Iterator[Edge]:
        for name in called_imports(statement, literals, self._parsed):
            yield from self._graph.reach(statement, name)

    def _first_fault(self, edges: Iterable[Edge]) -> Fault | None:
        for edge in edges:
            if edge.condition is not None:
                continue
            fault = edge.fault or (self._graph.first_fault(edge.enters) if edge.enters else None)
            if fault is not None:
                return fault
        return None


def _under(condition: str, edges: Iterable[Edge]) -> Iterator[Edge]:
    for edge in edges:
        both = f"{condition} and {edge.condition}" if edge.condition else condition
        yield replace(edge, condition=both)


def _handler(statement: ast.Try, fault: Fault | None) -> ast.ExceptHandler | None:
    """The handler that a fault ends in; without a fault the first that would catch a failed import."""
    for handler in statement.handlers:
        caught = set(caught_names(handler.type))
        if caught & _CATCHES_ALL or (
            "ModuleNotFoundError" in caught and (fault is None or fault.kind is not FaultKind.NO_NAME)
        ):
            return handler
    return None


def _raises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(statement, ast.Raise) for statement in handler.body)


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"
