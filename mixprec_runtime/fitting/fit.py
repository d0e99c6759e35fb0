"""Fit: read what a mix leaves open, measure what each choice loses, choose, look at what was chosen, and write it."""

from __future__ import annotations

__all__ = ["FitRequest", "NoServedMixture", "Surroundings", "fit"]

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.fitting.budget import Budget, resolve_budget
from mixprec_runtime.fitting.choices import problem_of
from mixprec_runtime.fitting.constraints import unserved_choices
from mixprec_runtime.fitting.front import front, shown
from mixprec_runtime.fitting.solver import least_bytes, least_loss
from mixprec_runtime.fitting.timing import KernelsOf
from mixprec_runtime.measuring.quality import Progress
from mixprec_runtime.measuring.sensitivity import Sensitivity, TextsOfFit
from mixprec_runtime.records.fit import ChosenMixture, Losses, MeasuredMixture, Problem
from mixprec_runtime.records.fit_report import FitReport, Limit
from mixprec_runtime.records.mix import Mix

ROUNDS = 50  # of solving again with what the plan of a solution was refused for


class NoServedMixture(MixprecError):
    """Every solution was refused by its plan."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, rounds: int, last: str) -> None:
        super().__init__(rounds, last)
        self.rounds = rounds
        self.last = last

    def __str__(self) -> str:
        return (
            f"{self.rounds} mixtures within the budget were found, and the plan refused each; the last because: "
            f"{self.last}\n  try: another budget, or a rule that settles where these modules come from"
        )


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """What a fit is asked for. ``choose`` are sources to choose among (all where it is empty)."""

    budget: str
    method: str  # "kl" or "error"
    texts: TextsOfFit
    choose: tuple[str, ...] = ()
    ranks: int = 1
    stages: int = 1
    context: int | None = None
    share: float | None = None  # of a GPU's memory
    by_time: bool = False  # the time of one row is what a mixture costs
    judged: bool = True  # whether the result and each source alone are measured
    points: int = 21  # of the front that are shown


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where a fit works: the folders of the base and of each source, its cache, the memory it may use."""

    folders: Mapping[str, Path]
    cache: Path
    most_bytes: int


def fit(
    mix: Mix, request: FitRequest, around: Surroundings, *, kernels: KernelsOf | None = None, progress: Progress
) -> FitReport:
    """The best mixture within a budget, by what each choice was measured to lose.

    Raises what reading the problem and the budget raises, NoMixtureFits, NoServedMixture, SolverGaveUp and
    MeasuringFailed. What was measured until then is kept and not measured again.
    """
    clock = _Clock()
    problem = problem_of(mix, choose=request.choose, ranks=request.ranks, stages=request.stages, kernels=kernels)
    budget = resolve_budget(
        request.budget,
        problem,
        mix,
        ranks=request.ranks,
        stages=request.stages,
        context=request.context,
        share=request.share,
        by_time=request.by_time,
    )
    clock.took("reading")
    with ExitStack() as stack:
        measuring = stack.enter_context(
            Sensitivity(
                problem,
                around.folders,
                request.texts,
                root=around.cache / "sensitivity",
                most_bytes=around.most_bytes,
                progress=progress,
            )
        )
        losses = measuring.losses(request.method)
        clock.took("measuring units")
        chosen, problem = _served(mix, problem, losses, budget, request)
        clock.took("solving")
        points = front(problem, losses)
        clock.took("the front")
        measured = _judged(measuring, problem, losses, chosen, progress) if request.judged else ()
        clock.took("measuring mixtures")
    return FitReport(
        mix=str(mix.file),
        asked=request.budget,
        goal=budget.goal,
        problem=problem,
        losses=losses,
        chosen=chosen,
        limit=budget.limit,
        most_loss=budget.most_loss,
        front=shown(points, request.points),
        front_points=len(points) if points.whole else None,
        measured=measured,
        measured_text=request.texts.judge.name if measured else None,
        seconds=clock.steps,
        notes=(budget.how,),
    )


def _served(
    mix: Mix, problem: Problem, losses: Losses, budget: Budget, request: FitRequest
) -> tuple[ChosenMixture, Problem]:
    """The best choice whose plan is valid, and the problem with what was learnt on the way."""
    last = ""
    for _ in range(ROUNDS):
        found = _solved(problem, losses, budget)
        refused = unserved_choices(mix, problem, found.sources, ranks=request.ranks, stages=request.stages)
        if not refused:
            return found, problem
        last = refused[0].why
        problem = replace(problem, forbidden=(*problem.forbidden, *refused))
    raise NoServedMixture(ROUNDS, last)


def _solved(problem: Problem, losses: Losses, budget: Budget) -> ChosenMixture:
    if budget.most_loss is not None:
        return least_bytes(problem, losses, most_loss=budget.most_loss)
    return least_loss(problem, losses, limit=budget.limit or Limit())


def _judged(
    measuring: Sensitivity, problem: Problem, losses: Losses, chosen: ChosenMixture, progress: Progress
) -> tuple[MeasuredMixture, ...]:
    """The mixture, and each source that has all units alone, on the text for judging."""
    names = dict.fromkeys(option.source for unit in problem.units for option in unit.options)
    wanted: list[tuple[str, Mapping[str, str]]] = [("mixture", chosen.sources)]
    for source in names:
        has = {unit.name: any(option.source == source for option in unit.options) for unit in problem.units}
        if all(has.values()):
            wanted.append((f"all {source}", dict.fromkeys(has, source)))
    found = []
    for at, (name, sources) in enumerate(wanted):
        progress(at, len(wanted), f"measuring {name}")
        predicted = losses.of(sources) if losses.method == "kl" else None
        found.append(measuring.mixture(name, sources, predicted=predicted))
    return tuple(found)


class _Clock:
    """Seconds by step."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self._since = time.perf_counter()

    def took(self, step: str) -> None:
        now = time.perf_counter()
        self.steps[step] = self.steps.get(step, 0.0) + now - self._since
        self._since = now
