"""Needs: everything that importing a module needs and that isn't there, all at once, without importing it."""

from __future__ import annotations

__all__ = ["NeedFinder", "missing_needs"]

from collections.abc import Iterator, Set
from dataclasses import dataclass

from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.need import ABSENT, Need, Step
from mixprec_doctor.resolving.importgraph import Edge, Fault, FaultKind, ImportGraph
from mixprec_doctor.resolving.offers import Offers
from mixprec_doctor.resolving.providers import Providers, candidates
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.sources import Sources


class NeedFinder:
    """Finds the needs of modules of one engine; asked for several, it reads what they share once.

    What calls at import time do is not followed, nor what compiled modules import; a package outside of the
    engine is trusted while all that its metadata requires is installed.
    """

    def __init__(self, exports: Exports, environment: Environment | None, *, engine: str) -> None:
        self._sources = exports.sources
        self._providers = Providers(environment, engine) if environment is not None else None
        self._graph = ImportGraph(
            exports, offers=Offers(exports, environment), providers=self._providers, engine=engine
        )

    def missing(self, module: str) -> tuple[Need, ...]:
        """What an import of the module certainly needs in vain, in the order in which Python would meet it."""
        return tuple(self._needs(module, certain=True))

    def conditional(self, module: str) -> tuple[Need, ...]:
        """What it needs in vain only if some condition holds that the source doesn't decide."""
        return tuple(self._needs(module, certain=False))

    def _needs(self, module: str, *, certain: bool) -> Iterator[Need]:
        before = () if certain else self.missing(module)
        known = {need.import_name for need in before}
        found = {key for need in before if need.reason == ABSENT for key in candidates(need.import_name)}
        for trail, fault in _walk(self._graph, module, certain=certain, found=found):
            if fault.import_name not in known and (certain or trail[-1].condition):
                known.add(fault.import_name)
                if fault.kind is FaultKind.ABSENT:  # of one that is there, another may ask for more
                    found |= candidates(fault.wanted)
                yield self._need(trail, fault)

    def _need(self, trail: tuple[_Place, ...], fault: Fault) -> Need:
        asker = trail[-1].module
        return Need(
            import_name=fault.import_name,
            reason=self._reason(fault),
            chain=tuple(self._step(place) for place in trail),
            distribution=self._providers.requirement(fault.wanted, asker) if self._providers else None,
            condition=trail[-1].condition,
        )

    def _reason(self, fault: Fault) -> str:
        if fault.kind is FaultKind.ABSENT:
            return ABSENT
        version = self._providers.version(fault.wanted) if self._providers else None
        installed = f"installed {version}" if version else "what is read"
        if fault.kind is FaultKind.NO_MODULE:
            return f"{installed} has no such module"
        return f"{installed} has no name {fault.import_name.rpartition('.')[2]}"

    def _step(self, place: _Place) -> Step:
        parsed = self._sources.module(place.module)
        path = place.module.replace(".", "/") + ("/__init__.py" if parsed and parsed.is_package else ".py")
        edge = place.edge
        if parsed is None or edge is None:
            return Step(module=place.module, path=path if parsed else None)
        statement = edge.statement
        lines = parsed.lines[statement.lineno - 1 : statement.end_lineno]
        text = " ".join(b" ".join(lines).decode("utf-8", errors="replace").split())
        return Step(module=place.module, path=path, line=statement.lineno, statement=text)


def missing_needs(
    sources: Sources, exports: Exports, environment: Environment | None, module: str, *, engine: str
) -> tuple[Need, ...]:
    """What an import of one module certainly needs in vain; for several modules keep a ``NeedFinder``."""
    assert exports.sources is sources  # noqa: S101  they are one pair everywhere
    return NeedFinder(exports, environment, engine=engine).missing(module)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A module on the way, the edge taken in it, and the conditions up to and with that edge."""

    module: str
    edge: Edge | None
    condition: str | None


def _walk(
    graph: ImportGraph, module: str, *, certain: bool, found: Set[str]
) -> Iterator[tuple[tuple[_Place, ...], Fault]]:
    """Every fault in the order of an import, with the way to it; each module is entered once.

    A module that is reached both certainly and under a condition is entered for certain only. ``found`` grows as
    its reader sees to it: a package that can lack nothing else is left alone.
    """
    settled = set() if certain else _certainly_entered(graph, module, found)
    parts = module.split(".")
    way = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    seen: set[str] = set()
    for entered in way:
        if entered in seen:
            continue
        seen.add(entered)
        first = () if entered == module else (_Place(module=module, edge=None, condition=None),)
        yield from _descend(graph, entered, first=first, seen=seen, settled=settled, certain=certain, found=found)


def _descend(
    graph: ImportGraph,
    module: str,
    *,
    first: tuple[_Place, ...],
    seen: set[str],
    settled: set[str],
    certain: bool,
    found: Set[str],
) -> Iterator[tuple[tuple[_Place, ...], Fault]]:
    trail: list[_Place] = list(first)
    stack: list[tuple[str, str | None, Iterator[Edge]]] = [(module, None, iter(graph.edges(module)))]
    while stack:
        here, condition, edges = stack[-1]
        edge = None if graph.is_exhausted(here, found) else next(edges, None)
        if edge is None:
            stack.pop()
            if stack:
                trail.pop()
            continue
        if certain and edge.condition:
            continue
        both = " and ".join(filter(None, (condition, edge.condition))) or None
        place = _Place(module=here, edge=edge, condition=both)
        if edge.fault is not None:
            yield (*trail, place), edge.fault
        elif edge.enters is not None and edge.enters not in seen and not (both and edge.enters in settled):
            seen.add(edge.enters)
            if graph.is_exhausted(edge.enters, found):
                continue
            trail.append(place)
            stack.append((edge.enters, both, iter(graph.edges(edge.enters))))


def _certainly_entered(graph: ImportGraph, module: str, found: Set[str]) -> set[str]:
    parts = module.split(".")
    waiting = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    entered = set(waiting)
    while waiting:
        for edge in graph.edges(waiting.pop()):
            if edge.enters is not None and edge.condition is None and edge.enters not in entered:
                entered.add(edge.enters)
                if not graph.is_exhausted(edge.enters, found):
                    waiting.append(edge.enters)
    return entered
