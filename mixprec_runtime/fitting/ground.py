"""Ground: what a fit stands on; the checkpoints of a mix, opened once, and what of the model is still to be chosen."""

from __future__ import annotations

__all__ = ["Ground"]

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from mixprec_doctor.records.finding import Severity
from mixprec_runtime.checkpoint.formats import ModuleWeights
from mixprec_runtime.launching.errors import RefusedPlan
from mixprec_runtime.planning.asides import is_beside_language
from mixprec_runtime.planning.assign import Assignment, assign
from mixprec_runtime.planning.cachescales import projections
from mixprec_runtime.planning.experts import EXPERTS, expert_layer, expert_layers, is_router
from mixprec_runtime.planning.experts import beside as experts_beside
from mixprec_runtime.planning.modules import class_names
from mixprec_runtime.planning.neighbours import ATTENTION, FEED, Norm, norms_of
from mixprec_runtime.planning.norms import rules_for_norms
from mixprec_runtime.planning.opening import OpenedSources, open_sources
from mixprec_runtime.planning.taking import base_weights
from mixprec_runtime.planning.units import units_of
from mixprec_runtime.records.checkpoint import Checkpoint
from mixprec_runtime.records.fit import ChoiceUnit
from mixprec_runtime.records.memory import layer_of
from mixprec_runtime.records.mix import BASE_SOURCE, Mix


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A mix with its checkpoints, the base's modules, and what ``rules`` and ``ignore`` say of them."""

    mix: Mix
    sources: OpenedSources
    weights: Mapping[str, ModuleWeights]  # of the base
    classes: Mapping[str, str | None]
    assigned: Mapping[str, Assignment]  # with the base as default

    @classmethod
    def of(cls, mix: Mix, sources: OpenedSources | None = None) -> Ground:
        """Open the checkpoints. Raises RefusedPlan where one cannot be used or a rule matches nothing."""
        sources = sources or open_sources(mix)
        if sources.findings or BASE_SOURCE not in sources.checkpoints:
            raise RefusedPlan(sources.findings)
        base = sources.checkpoints[BASE_SOURCE]
        weights, _ = base_weights(base)
        classes = class_names(weights, base.config)
        assigned, findings = assign(replace(mix, default=BASE_SOURCE, default_mark=None), classes)
        if any(finding.severity is Severity.ERROR for finding in findings):
            raise RefusedPlan(findings)
        return cls(mix=mix, sources=sources, weights=weights, classes=classes, assigned=assigned)

    @property
    def base(self) -> Checkpoint:
        """The base model."""
        return self.sources.checkpoints[BASE_SOURCE]

    def is_free(self, module: str) -> bool:
        """Whether a fit chooses for it: a linear module that is not named, does not route, and serves language."""
        return (
            self.classes[module] == "Linear"
            and not self.is_named(module)
            and not is_router(module, self._experts)
            and not is_beside_language(module, self.base.config)
        )

    def is_named(self, module: str) -> bool:
        """Whether ``rules`` or ``ignore`` decide for the module."""
        return self.assigned[module].by not in ("default", "base")

    @cached_property
    def units(self) -> tuple[ChoiceUnit, ...]:
        """The units that are to be chosen for, without options, in the model's order."""
        united = {member: unit.name for unit in units_of(self.weights) for member in unit.members}
        members: dict[str, list[str]] = {}
        for module in self.weights:
            if self.is_free(module):
                members.setdefault(united.get(module, module), []).append(module)
        stacks = [layer_of(name)[0] for name in members]
        main = max(stacks, key=stacks.count, default=None)
        units = [self._unit(name, tuple(modules), main) for name, modules in members.items()]
        return tuple(sorted(units, key=_place))

    @cached_property
    def owners(self) -> dict[str, str]:
        """The unit of each module that belongs to one: its own modules, and the router of its experts."""
        owners = {module: unit.name for unit in self.units for module in unit.modules}
        layers = {unit.name for unit in self.units if expert_layer(unit.name) == unit.name}
        for module in self.weights:
            if is_router(module, self._experts) and not self.is_named(module) and experts_beside(module) in layers:
                owners[module] = experts_beside(module)
        return owners

    @cached_property
    def routers(self) -> frozenset[str]:
        """Modules that gate experts, and that go with them where nothing names them."""
        return frozenset(module for module in self.weights if is_router(module, self._experts))

    @cached_property
    def norms(self) -> tuple[Norm, ...]:
        """The norms of the model with the modules that read them."""
        return norms_of(self.assigned)

    def is_meant(self, norm: Norm) -> bool:
        """Whether a rule for norms alone moves that one: it is believed, whatever stands behind it."""
        return id(self.assigned[norm.module].by) in self._for_norms

    def owner(self, layer: str) -> str | None:
        """The unit whose choice decides for a layer of a plan; None where no choice does.

        A norm belongs to the unit of the first module that reads it, the scales of a cache to the one of the keys.
        """
        if layer in self.owners:
            return self.owners[layer]
        if (experts := expert_layer(layer)) is not None:
            return experts if experts in self._units_by_name else None
        if layer in self._readers:
            return self.owners.get(self._readers[layer])
        if layer not in self.weights:
            return next((self.owners[each] for each in projections(layer, self.owners)), None)
        return None

    def settled_beside(self, layer: str) -> str:
        """The source that a norm goes with where no choice decides for it; the base for all else."""
        reader = self._readers.get(layer)
        return self.assigned[reader].source if reader is not None and reader not in self.owners else BASE_SOURCE

    def beside(self, unit: ChoiceUnit) -> tuple[str, ...]:
        """Modules that may come along with a unit: its router, and the norms that it reads."""
        return self._beside.get(unit.name, ())

    @cached_property
    def _beside(self) -> dict[str, tuple[str, ...]]:
        own = {module for unit in self.units for module in unit.modules}
        found: dict[str, list[str]] = {}
        for module, unit in self.owners.items():
            if module not in own:
                found.setdefault(unit, []).append(module)
        for norm in self.norms:
            if not self.is_named(norm.module):
                for name in dict.fromkeys(self.owners[each] for each in norm.partners if each in self.owners):
                    found.setdefault(name, []).append(norm.module)
        return {unit: tuple(modules) for unit, modules in found.items()}

    @cached_property
    def _experts(self) -> dict[str, tuple[str, ...]]:
        return expert_layers(self.weights)

    @cached_property
    def _for_norms(self) -> set[int]:
        return rules_for_norms(self.norms, self.assigned)

    @cached_property
    def _readers(self) -> dict[str, str]:
        moving = (norm for norm in self.norms if not self.is_named(norm.module))
        return {norm.module: norm.partners[0] for norm in moving}

    @cached_property
    def _units_by_name(self) -> dict[str, ChoiceUnit]:
        return {unit.name: unit for unit in self.units}

    def _unit(self, name: str, modules: tuple[str, ...], main: str | None) -> ChoiceUnit:
        stack, number = layer_of(name)
        kind = name if stack is None else name.removeprefix(f"{stack}.{number}.")
        return ChoiceUnit(
            name=name,
            kind=kind if stack in (None, main) else f"{stack}.{kind}",
            layer=None if stack is None else number,
            modules=modules,
            parameters=sum(prod(self.weights[module].shape) for module in modules),
            options=(),
        )


def _place(unit: ChoiceUnit) -> tuple[bool, int, int]:
    """Units of layers before the others, in the order in which a token passes them."""
    first = unit.modules[0].rpartition(".")[2]
    steps = (first in ATTENTION, first in ("o_proj", "out_proj"), first in FEED or EXPERTS in unit.kind)
    return unit.layer is None, unit.layer or 0, next((at for at, step in enumerate(steps) if step), len(steps))
