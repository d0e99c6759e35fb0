"""Imports: what one import statement does in the middle of a rehearsal."""

from __future__ import annotations

__all__ = ["Imports", "Run"]

import ast
from collections.abc import Generator, Iterable

from mixprec_doctor.rehearsal.stage import Stage
from mixprec_doctor.rehearsal.state import SERVERS, State, bound_names
from mixprec_doctor.rehearsal.stop import Stop, StopKind
from mixprec_doctor.resolving.importgraph import Edge
from mixprec_doctor.resolving.offers import Offer, listed_names
from mixprec_doctor.source.truth import Truth

_CIRCULAR = (
    "cannot import name {name!r} from partially initialized module {module!r} (most likely due to a circular import)"
)

# A running module asks for modules, or for a call, one at a time, and is told how each ended.
Run = Generator["str | State", "Stop | None", "Stop | None"]


class Imports:
    """Import statements on a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def run(self, statement: ast.Import | ast.ImportFrom, state: State) -> Run:
        """Everything that the statement imports, in order."""
        if isinstance(statement, ast.ImportFrom):
            return (yield from self._from(statement, state))
        for alias in statement.names:
            graph = state.graph_of(alias.name, self._stage.graph)
            stop = yield from self._edges(graph.reach(statement, alias.name), state)
            if stop is not None:
                return stop
        state.bound.update(bound_names(statement))
        return None

    def _from(self, statement: ast.ImportFrom, state: State) -> Run:
        parsed = state.parsed
        target = parsed.absolute(statement) if parsed is not None else None
        if not target:
            return None  # beyond the top level: no package that could be installed mends it
        graph = state.graph_of(target, self._stage.graph)
        stop = yield from self._edges(graph.reach(statement, target), state)
        if stop is not None:
            return stop
        for alias in statement.names:
            source = self._stage.exports.sources.module(target) if graph.is_followed(target) else None
            listed = (listed_names(source) if source is not None and source.is_package else None) or ()
            for name in listed if alias.name == "*" else (alias.name,):
                stop = yield from self._name(statement, state, target, name)
                if stop is not None:
                    return stop
        if any(alias.name == "*" for alias in statement.names):
            state.is_open = True  # what a star brings is not held against the module that asks for it
        state.bound.update(bound_names(statement))
        return None

    def _name(self, statement: ast.ImportFrom, state: State, target: str, name: str) -> Run:
        """One name of a module that is loaded, or still being loaded: then only what it has bound by now is there."""
        other = self._stage.entered.get(target)
        below = f"{target}.{name}"
        graph = state.graph_of(target, self._stage.graph)
        if other is None or other.is_complete or other.parsed is None:
            return (yield from self._edges(graph.reach_name(statement, target, name, asker=state.name), state))
        if other.has(name):
            return None
        if self._stage.offers.has_module(below) is not Truth.NO and other.parsed.is_package:
            return (yield below)
        offer = self._stage.offers.offer(target, name)
        if offer in (Offer.ATTRIBUTE, Offer.NOTHING):
            if target.partition(".")[0] not in SERVERS:
                return None  # elsewhere calls at import time, which are not followed, may have changed the order
            kind = StopKind.CIRCULAR if offer is Offer.ATTRIBUTE else StopKind.NO_NAME
            return self._stage.stop(kind, below, "ImportError", _CIRCULAR.format(name=name, module=target))
        return (yield from self._edges(graph.reach_name(statement, target, name, asker=state.name), state))

    def module(self, name: str, statement: ast.stmt, state: State) -> Run:
        """A module that a call imports by its name."""
        return (yield from self._edges(state.graph_of(name, self._stage.graph).reach(statement, name), state))

    def _edges(self, edges: Iterable[Edge], state: State) -> Run:
        for edge in edges:
            if edge.fault is not None and self._stage.counts(edge.fault, state):
                return self._stage.fault(edge.fault)
            if edge.enters is not None:
                stop = yield edge.enters
                if stop is not None:
                    return stop
        return None
