"""The stage: what a rehearsed interpreter has at a moment: modules that run, have run, or are half way."""

from __future__ import annotations

__all__ = ["Stage"]

import ast
from dataclasses import replace
from functools import cached_property

from mixprec_doctor.records.environment import Environment
from mixprec_doctor.rehearsal.effects import Effect
from mixprec_doctor.rehearsal.state import SERVERS, State
from mixprec_doctor.rehearsal.stop import Stop, StopKind, Swallowed
from mixprec_doctor.resolving.importgraph import Fault, FaultKind, ImportGraph
from mixprec_doctor.resolving.offers import Offers
from mixprec_doctor.resolving.providers import Providers, required_packages
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

    @cached_property
    def foreign(self) -> frozenset[str]:
        """Packages that were installed for another Python, by the tags of their distributions."""
        version = "".join((self.environment.interpreter.version or "").split(".")[:2])
        return frozenset(
            package
            for each in self.environment.distributions
            if version and each.tags and all(_is_foreign(tag, version) for tag in each.tags)
            for package in each.packages
        )

    def is_followed(self, module: str, graph: ImportGraph) -> bool:
        """Whether a module is run statement by statement."""
        return graph.is_followed(module) or module.partition(".")[0] in self.foreign

    def counts(self, fault: Fault, state: State) -> bool:
        """Whether a fault is believed: in a package for another Python what it has compiled itself is not there."""
        own = state.name.partition(".")[0]
        is_foreign = own in self.foreign and fault.wanted.partition(".")[0] == own
        return state.name == "__main__" or is_foreign or state.graph.counts(fault, state.name)

    def graph(self, top: str) -> ImportGraph:
        """The graph of an engine, of the user's own package, or of one that lacks something; else of none."""
        followed = top in SERVERS or self.exports.sources.is_local(top) or self._leads_to_foreign(top)
        if not followed and not (top and self.providers(top).doubts(top)):
            top = ""
        if top not in self._graphs:
            self._graphs[top] = ImportGraph(self.exports, offers=self.offers, providers=self.providers(top), engine=top)
        return self._graphs[top]

    def _leads_to_foreign(self, top: str) -> bool:
        return bool(top and self.foreign) and bool(self.foreign & required_packages(self.environment, (top,)))

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


def _is_foreign(tag: str, version: str) -> bool:
    """Whether a wheel's tag is for another CPython than that version: ``cp312-cp312-manylinux...`` for 311."""
    python, _, rest = tag.partition("-")
    return python.startswith("cp") and not rest.startswith("abi3") and python != f"cp{version}"
