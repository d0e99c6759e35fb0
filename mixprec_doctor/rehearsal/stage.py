"""The stage: what a rehearsed interpreter has at a moment: modules that run, have run, or are half way."""

from __future__ import annotations

__all__ = ["Stage"]

import ast
from dataclasses import replace

from mixprec_doctor.records.environment import Environment
from mixprec_doctor.rehearsal.effects import Effect
from mixprec_doctor.rehearsal.state import SERVERS, State
from mixprec_doctor.rehearsal.stop import Stop, StopKind, Swallowed
from mixprec_doctor.resolving.importgraph import Fault, FaultKind, ImportGraph
from mixprec_doctor.resolving.offers import Offers
from mixprec_doctor.resolving.providers import Providers
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.module import ParsedModule
from mixprec_doctor.source.walking import statements_in

_KINDS = {
    FaultKind.ABSENT: (StopKind.ABSENT, "ModuleNotFoundError"),
    FaultKind.NO_MODULE: (StopKind.NO_MODULE, "ModuleNotFoundError"),
    FaultKind.NO_NAME: (StopKind.NO_NAME, "ImportError"),
}


class Stage:
    """Shared by all parts of one rehearsal; it changes as modules run."""

    def __init__(self, exports: Exports, environment: Environment) -> None:
        self.exports = exports
        self.environment = environment
        self.offers = Offers(exports, environment)
        self.running: list[State] = []  # modules and calls, the outermost first
        self.entered: dict[str, State] = {}
        self.mentioned: set[str] = set()  # modules that any import statement names, taken or not
        self.swallowed: list[Swallowed] = []
        self._graphs: dict[str, ImportGraph] = {}
        self._known: dict[str, Providers] = {}

    def graph(self, top: str) -> ImportGraph:
        """The graph of an engine, of the user's own package, or of one that lacks something; else of none."""
        followed = top in SERVERS or self.exports.sources.is_local(top)
        if not followed and not (top and self.providers(top).doubts(top)):
            top = ""
        if top not in self._graphs:
            self._graphs[top] = ImportGraph(self.exports, offers=self.offers, providers=self.providers(top), engine=top)
        return self._graphs[top]

    def providers(self, top: str) -> Providers:
        """The distributions as a package sees them."""
        if top not in self._known:
            self._known[top] = Providers(self.environment, top)
        return self._known[top]

    def stop(self, kind: StopKind, wanted: str, exception: str, text: str, cause: Stop | None = None) -> Stop:
        """An exception that is raised here and now."""
        trail = tuple(state.step() for state in self.running)
        return Stop(kind=kind, wanted=wanted, exception=exception, text=text, trail=trail, cause=cause)

    def fault(self, fault: Fault) -> Stop:
        """The exception that a fault of the import graph is."""
        kind, exception = _KINDS[fault.kind]
        module, _, name = fault.wanted.rpartition(".")
        text = (
            f"cannot import name {name!r} from {module!r}"
            if kind is StopKind.NO_NAME
            else f"No module named {fault.import_name!r}"
        )
        return self.stop(kind, fault.wanted, exception, text)

    def effect(self, effect: Effect | None, state: State) -> Stop | None:
        """The exception that a known effect is."""
        if effect is None:
            return None
        stop = self.stop(StopKind.RAISED, state.name, effect.exception, effect.text)
        return replace(stop, requirement=effect.requirement, registered=effect.registered)

    def mention(self, node: ast.AST, parsed: ParsedModule) -> None:
        """Note the modules that import statements inside of a node name."""
        for inner in statements_in(node):
            if isinstance(inner, ast.Import):
                self.mentioned.update(alias.name for alias in inner.names)
            elif isinstance(inner, ast.ImportFrom) and (target := parsed.absolute(inner)):
                self.mentioned.add(target)
