"""Planned: the model with all its units from one source, as a plan has it; bytes of all choices come from these."""

from __future__ import annotations

__all__ = ["PlannedSources"]

from collections.abc import Iterable

from mixprec_doctor.records.format import Format
from mixprec_runtime.fitting.ground import Ground
from mixprec_runtime.fitting.mixtures import mix_of
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.fit import ChoiceUnit, Option
from mixprec_runtime.records.mix import BASE_SOURCE, Mix
from mixprec_runtime.records.plan import LayerPlan, Plan


class PlannedSources:
    """One plan for each source; a unit takes the same bytes in each plan that has it from there."""

    def __init__(self, ground: Ground, *, ranks: int, stages: int) -> None:
        self._ground = ground
        self._ranks = ranks
        self._stages = stages
        self._uniform: dict[str, Plan] = {}
        self._layers: dict[str, dict[str | None, list[LayerPlan]]] = {}
        self._from: dict[str, dict[str, str]] = {}

    def plan(self, mix: Mix) -> Plan:
        """The plan of another mix of the same checkpoints."""
        return make_plan(
            mix,
            tensor_parallel_size=self._ranks,
            pipeline_parallel_size=self._stages,
            sources=self._ground.sources,
        )

    def uniform(self, source: str) -> Plan:
        """The plan with every unit from that source."""
        if source not in self._uniform:
            units = self._ground.units
            chosen = {unit.name: source for unit in units}
            self._uniform[source] = self.plan(mix_of(self._ground.mix, units, chosen))
        return self._uniform[source]

    def source_of(self, module: str, unit_source: str) -> str:
        """Where a unit's module, or its router, comes from when the unit comes from that source."""
        return self._sources(unit_source).get(module, unit_source)

    def option(self, unit: ChoiceUnit, source: str) -> Option:
        """What the unit is, and takes, from that source."""
        layers = self._by_owner(source).get(unit.name, [])
        follows = self._follows(unit, source)
        return Option(
            source=source,
            format=_format(layer for layer in layers if layer.layer not in follows and layer.shape),
            bytes=sum(layer.nbytes for layer in layers),
            bytes_per_rank=tuple(map(sum, zip(*(layer.bytes_per_rank for layer in layers), strict=True))),
            follows=follows,
        )

    def free_layers(self) -> list[LayerPlan]:
        """What is no unit's. A norm that goes with layers that are not chosen is planned with the rest from there."""
        found = []
        for layer in self._by_owner(BASE_SOURCE).get(None, []):
            near = self._ground.settled_beside(layer.layer)
            others = self._by_owner(near).get(None, []) if near != BASE_SOURCE else []
            found.append(next((each for each in others if each.layer == layer.layer), layer))
        return found

    def _by_owner(self, source: str) -> dict[str | None, list[LayerPlan]]:
        if source not in self._layers:
            found: dict[str | None, list[LayerPlan]] = {}
            for layer in self.uniform(source).layers:
                found.setdefault(self._ground.owner(layer.layer), []).append(layer)
            self._layers[source] = found
        return self._layers[source]

    def _sources(self, source: str) -> dict[str, str]:
        if source not in self._from:
            self._from[source] = {layer.layer: layer.source for layer in self.uniform(source).layers}
        return self._from[source]

    def _follows(self, unit: ChoiceUnit, source: str) -> tuple[str, ...]:
        if source == BASE_SOURCE:
            return ()
        there = self._sources(source)
        beside = self._ground.beside(unit)
        return tuple(module for module in beside if there.get(module) == source)


def _format(layers: Iterable[LayerPlan]) -> Format:
    """The format of most bytes."""
    sizes: dict[Format, int] = {}
    for layer in layers:
        sizes[layer.format] = sizes.get(layer.format, 0) + layer.nbytes
    return max(sizes, key=lambda form: sizes[form])
