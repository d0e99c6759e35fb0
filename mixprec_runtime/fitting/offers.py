"""Offers: the sources that each unit can still be taken from, and why not from the others."""

from __future__ import annotations

__all__ = ["Offers"]

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.fitting.constraints import OF_NORMS, find_split_pairs, norm_constraints, refusals
from mixprec_runtime.fitting.ground import Ground
from mixprec_runtime.fitting.planned import PlannedSources
from mixprec_runtime.fitting.timing import KernelsOf, KernelTimes, kernel_times
from mixprec_runtime.records.fit import Choice, ChoiceUnit, Forbidden, Option
from mixprec_runtime.records.mix import BASE_SOURCE


class Offers:
    """Choices of a mix while they are sorted out: what is left of them, and what of that excludes each other."""

    def __init__(self, ground: Ground, wanted: Sequence[str], planned: PlannedSources) -> None:
        self._ground = ground
        self._wanted = tuple(wanted)
        self._planned = planned
        self._sources = tuple(dict.fromkeys((BASE_SOURCE, *wanted)))
        self._times: dict[str, KernelTimes] = {}
        self._bound: set[Choice] = set()
        self.left_out: dict[Choice, str] = {}
        self.forbidden: dict[tuple[Choice, ...], str] = {}
        for source in self._sources:
            chosen = {unit.name: source for unit in ground.units}
            # what norms need is looked at pair by pair: a plan tells it of all readers of a norm at once
            self._refuse(refusals(planned.uniform(source), ground.owner, chosen, beside=(OF_NORMS,)))
        self._refuse(norm_constraints(ground, self.sources(), taken=planned.source_of))
        self._refuse(find_split_pairs(ground, ground.units, self.sources(), planned.plan))

    def sources(self) -> dict[str, tuple[str, ...]]:
        """What each unit can be taken from: of the wanted sources, or the base where none of them is left."""
        found = {}
        for unit in self._ground.units:
            left = tuple(source for source in self._wanted if (unit.name, source) not in self.left_out)
            base = (BASE_SOURCE,) if (unit.name, BASE_SOURCE) not in self.left_out else ()
            found[unit.name] = left or base
        return found

    def time(self, kernels: KernelsOf, *, ranks: int) -> None:
        """Leave out what no kernel serves, and keep the seconds of the rest."""
        offered = self.sources()
        for source in self._sources:
            plan = self._planned.uniform(source)
            units = {name for name, sources in offered.items() if source in sources}
            kept = tuple(layer for layer in plan.layers if self._ground.owner(layer.layer) in units)
            times = kernel_times(replace(plan, layers=kept), self._ground.mix, kernels=kernels, ranks=ranks)
            self._times[source] = times
            for module, why in times.unserved.items():
                if (unit := self._ground.owner(module)) is not None:
                    self.left_out.setdefault((unit, source), why)

    def units(self) -> tuple[ChoiceUnit, ...]:
        """All units with their options, the one of most bytes first; one may have none."""
        self._propagate()
        self._bound = {choice for choices in self.forbidden for choice in choices}
        offered = self.sources()
        return tuple(replace(unit, options=self._options(unit, offered[unit.name])) for unit in self._ground.units)

    def _refuse(self, refused: Iterable[Forbidden]) -> None:
        for each in refused:
            if len(each.choices) == 1:
                self.left_out.setdefault(each.choices[0], each.why)
            else:
                self.forbidden.setdefault(each.choices, each.why)

    def _propagate(self) -> None:
        """Leave out what a unit with one source excludes, until nothing changes."""
        while True:
            offered = self.sources()
            certain = {(unit, sources[0]) for unit, sources in offered.items() if len(sources) == 1}
            found = {
                other: why
                for choices, why in self.forbidden.items()
                if len(choices) == 2
                for one, other in (choices, choices[::-1])
                if one in certain and other[1] in offered[other[0]]
            }
            if not found:
                return
            self.left_out |= found

    def _options(self, unit: ChoiceUnit, sources: Sequence[str]) -> tuple[Option, ...]:
        options = [replace(option, seconds=self._seconds(unit, option)) for option in self._all(unit, sources)]
        return tuple(sorted(options, key=lambda option: (-option.bytes, self._sources.index(option.source))))

    def _all(self, unit: ChoiceUnit, sources: Sequence[str]) -> list[Option]:
        """All options but those that hold what the base holds: they take as much, and can only be worse."""
        options = [self._planned.option(unit, source) for source in sources]
        base = next((option for option in options if option.source == BASE_SOURCE), None)
        if base is None or base.format.kind is not FormatKind.PLAIN:
            return options
        bound = (unit.name, BASE_SOURCE) in self._bound
        like = replace(base, source="")
        return [option for option in options if option is base or bound or replace(option, source="") != like]

    def _seconds(self, unit: ChoiceUnit, option: Option) -> float | None:
        """As its own kernel was timed; or, where it is plain, as others were compared with 16 bits."""
        own = self._times[option.source].seconds(unit.modules) if option.source in self._times else None
        if own is not None or option.format.kind is not FormatKind.PLAIN or option.format.bits != 16:
            return own
        compared = [times.seconds(unit.modules, plain=True) for times in self._times.values()]
        return min((seconds for seconds in compared if seconds is not None), default=None)
