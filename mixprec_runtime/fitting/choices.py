"""Choices: what a mix leaves open, as a problem: units, their options with bytes, and what excludes what."""

from __future__ import annotations

__all__ = ["NothingToChoose", "UnknownSources", "problem_of"]

from collections.abc import Sequence

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.fitting.errors import NothingServes
from mixprec_runtime.fitting.ground import Ground
from mixprec_runtime.fitting.offers import Offers
from mixprec_runtime.fitting.planned import PlannedSources
from mixprec_runtime.fitting.timing import KernelsOf
from mixprec_runtime.records.fit import ChoiceUnit, Forbidden, Problem
from mixprec_runtime.records.mix import BASE_SOURCE, Mix

SHOWN = 5


class UnknownSources(MixprecError):
    """Sources to choose among that the mix file does not have."""

    exit_code = ExitCode.MISUSE

    def __init__(self, names: tuple[str, ...], known: tuple[str, ...]) -> None:
        super().__init__(names, known)
        self.names = names
        self.known = known

    def __str__(self) -> str:
        named = ", ".join(map(repr, self.names))
        return f"wanted to choose among {named}, and the mix file has no such source\n  try: {', '.join(self.known)}"


class NothingToChoose(MixprecError):
    """A mix file that leaves no unit with two sources."""

    exit_code = ExitCode.MISUSE

    def __init__(self, file: str, sources: tuple[str, ...], reasons: tuple[str, ...]) -> None:
        super().__init__(file, sources, reasons)
        self.file = file
        self.sources = sources
        self.reasons = reasons

    def __str__(self) -> str:
        lines = "".join(f"\n  {reason}" for reason in self.reasons[:SHOWN])
        return (
            f"wanted layers with two sources to choose between; {self.file} leaves none among {', '.join(self.sources)}"
            f"{lines}\n  try: name another checkpoint in `sources`, or take rules and ignore out"
        )


def problem_of(
    mix: Mix, *, choose: Sequence[str] = (), ranks: int = 1, stages: int = 1, kernels: KernelsOf | None = None
) -> Problem:
    """What a fit of a mix can choose, with bytes to the byte as a plan of each choice would have them.

    What ``rules`` and ``ignore`` name is fixed, and so is what stands beside the language model; ``default`` is not
    used. ``choose`` are the sources to choose among; all of them and the base ("model") where it is empty. A unit that
    none of these has comes from the base. ``kernels`` says what serves a workload; what nothing serves is no option.
    Raises UnknownSources, NothingServes, NothingToChoose, and RefusedPlan for a mix that is at fault whatever is
    chosen.
    """
    known = (BASE_SOURCE, *mix.sources)
    if unknown := tuple(name for name in choose if name not in known):
        raise UnknownSources(unknown, known)
    wanted = tuple(name for name in known if name in choose) or known
    ground = Ground.of(mix)
    planned = PlannedSources(ground, ranks=ranks, stages=stages)
    offers = Offers(ground, wanted, planned)
    if kernels is not None:
        offers.time(kernels, ranks=ranks)
    units = offers.units()
    reasons = [f"{source}, {unit}: {why}" for (unit, source), why in offers.left_out.items() if source in wanted]
    for unit in units:
        if not unit.options:
            raise NothingServes((unit.name,), tuple(each for each in reasons if f", {unit.name}: " in each))
    if not any(len(unit.options) > 1 for unit in units):
        raise NothingToChoose(str(mix.file), wanted, tuple(reasons))
    return _problem(ground, offers, planned, wanted=wanted, units=units)


def _problem(
    ground: Ground, offers: Offers, planned: PlannedSources, *, wanted: Sequence[str], units: Sequence[ChoiceUnit]
) -> Problem:
    chosen = tuple(unit for unit in units if not _is_settled(unit))
    settled = [unit.options[0] for unit in units if _is_settled(unit)]
    free = planned.free_layers()
    held = [layer.bytes_per_rank for layer in free] + [option.bytes_per_rank for option in settled]
    names = {unit.name for unit in chosen}
    there = {(unit.name, option.source) for unit in chosen for option in unit.options}
    return Problem(
        units=chosen,
        forbidden=tuple(
            Forbidden(choices=choices, why=why)
            for choices, why in offers.forbidden.items()
            if there.issuperset(choices)
        ),
        fixed_bytes=sum(layer.nbytes for layer in free) + sum(option.bytes for option in settled),
        fixed_bytes_per_rank=tuple(map(sum, zip(*held, strict=True))),
        fixed={
            module: each.source
            for module, each in ground.assigned.items()
            if ground.classes[module] == "Linear" and ground.owner(module) not in names
        },
        left_out=tuple(
            Forbidden(choices=(choice,), why=why) for choice, why in offers.left_out.items() if choice[1] in wanted
        ),
    )


def _is_settled(unit: ChoiceUnit) -> bool:
    """Whether nothing but the base is left of a unit: it is part of what is fixed."""
    return [option.source for option in unit.options] == [BASE_SOURCE]
