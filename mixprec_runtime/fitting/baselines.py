"""Baselines: simple ways to fill a budget, which a chosen mixture is compared with."""

from __future__ import annotations

__all__ = ["BASELINES", "first_layers", "greedy", "last_layers", "random_units", "uniform"]

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from mixprec_runtime.records.fit import ChoiceUnit, ChosenMixture, Losses, Problem
from mixprec_runtime.records.fit_report import mixture_of


def uniform(problem: Problem, losses: Losses, *, budget: int) -> ChosenMixture | None:
    """The one source whose model loses least within the budget; None where none that all units have fits."""
    shared = set.intersection(*({option.source for option in unit.options} for unit in problem.units))
    mixtures = [mixture_of(problem, losses, {unit.name: source for unit in problem.units}) for source in sorted(shared)]
    within = [each for each in mixtures if each.bytes <= budget and _allowed(problem, each.sources)]
    return min(within, key=lambda each: (each.loss, each.bytes), default=None)


def greedy(problem: Problem, losses: Losses, *, budget: int) -> ChosenMixture | None:
    """From the smallest mixture upwards, always the step that saves most loss for a byte and still fits.

    What units lose together is not looked at. None where not even the smallest mixture fits.
    """
    chosen = _smallest(problem)
    while True:
        room = budget - problem.bytes_of(chosen)
        steps = [
            ((losses.alone[unit.name, now.source] - losses.alone[unit.name, option.source]) / extra, unit.name, option)
            for unit in problem.units
            for now in (unit.option(chosen[unit.name]),)
            for option in unit.options
            if 0 < (extra := option.bytes - now.bytes) <= room
        ]
        steps = [step for step in steps if step[0] > 0 and _allowed(problem, {**chosen, step[1]: step[2].source})]
        if not steps:
            return _within(problem, losses, chosen, budget)
        _, name, option = max(steps, key=lambda step: step[0])
        chosen[name] = option.source


def first_layers(problem: Problem, losses: Losses, *, budget: int) -> ChosenMixture | None:
    """The largest source that fits for unit after unit from the first layer on; the others stay smallest."""
    return _filled(problem, losses, sorted(problem.units, key=_depth), budget)


def last_layers(problem: Problem, losses: Losses, *, budget: int) -> ChosenMixture | None:
    """The same from the last layer downwards."""
    return _filled(problem, losses, sorted(problem.units, key=_depth, reverse=True), budget)


def random_units(problem: Problem, losses: Losses, *, budget: int, seed: int) -> ChosenMixture | None:
    """The same in an order that is drawn; of the larger sources that fit any may come."""
    luck = random.Random(seed)  # noqa: S311  nothing secret: the same seed draws the same mixture
    units = list(problem.units)
    luck.shuffle(units)
    return _filled(problem, losses, units, budget, pick=luck.choice)


BASELINES: Mapping[str, Callable[..., ChosenMixture | None]] = {
    "uniform": uniform, "greedy": greedy, "first layers": first_layers, "last layers": last_layers,
    "random": random_units,
}  # fmt: skip
"""By the name that a table gives them; ``random`` takes a ``seed`` beside the budget."""


def _depth(unit: ChoiceUnit) -> tuple[bool, int]:
    return (unit.layer is None, unit.layer or 0)


def _smallest(problem: Problem) -> dict[str, str]:
    """The smallest option of each unit that what is forbidden leaves, looked at one after the other."""
    chosen: dict[str, str] = {}
    for unit in problem.units:
        sizes = sorted(unit.options, key=lambda option: option.bytes)
        free = [option for option in sizes if _allowed(problem, {**chosen, unit.name: option.source})]
        chosen[unit.name] = (free or sizes)[0].source
    return chosen


def _filled(
    problem: Problem, losses: Losses, order: Iterable[ChoiceUnit], budget: int,
    pick: Callable[[Sequence[str]], str] | None = None,
) -> ChosenMixture | None:  # fmt: skip
    chosen = _smallest(problem)
    for unit in order:
        now = unit.option(chosen[unit.name])
        room = budget - problem.bytes_of(chosen)
        larger = sorted(unit.options, key=lambda option: -option.bytes)
        fitting = [
            option.source for option in larger
            if 0 < option.bytes - now.bytes <= room and _allowed(problem, {**chosen, unit.name: option.source})
        ]  # fmt: skip
        if fitting:
            chosen[unit.name] = pick(fitting) if pick is not None else fitting[0]
    return _within(problem, losses, chosen, budget)


def _within(problem: Problem, losses: Losses, chosen: Mapping[str, str], budget: int) -> ChosenMixture | None:
    fits = problem.bytes_of(chosen) <= budget and _allowed(problem, chosen)
    return mixture_of(problem, losses, chosen) if fits else None


def _allowed(problem: Problem, chosen: Mapping[str, str]) -> bool:
    """Whether nothing that is forbidden is chosen, as far as it is chosen."""
    return not any(
        each.choices and all(chosen.get(name) == source for name, source in each.choices) for each in problem.forbidden
    )
