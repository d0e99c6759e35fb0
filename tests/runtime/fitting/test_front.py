"""The front: every point is the best of its bytes, none is left out, and simple ways to choose lie above it."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_runtime.fitting import blocks, merging
from mixprec_runtime.fitting.baselines import BASELINES, random_units
from mixprec_runtime.fitting.errors import NothingServes
from mixprec_runtime.fitting.front import front, knee, shown
from mixprec_runtime.fitting.solver import least_loss
from mixprec_runtime.records.fit import ChosenMixture, Losses, Problem
from mixprec_runtime.records.fit_report import Limit
from tests.runtime.fitting.problems import every_choice, every_mixture, model, problems

FEW = settings(max_examples=25, deadline=None)


def best_points(mixtures: list[ChosenMixture]) -> list[tuple[int, float]]:
    points: list[tuple[int, float]] = []
    for size, loss in sorted((each.bytes, each.loss) for each in mixtures):
        if not points or loss < points[-1][1]:
            points.append((size, loss))
    return points


@FEW
@given(problems())
def test_the_front_is_that_of_all_choices(case: tuple[Problem, Losses]) -> None:
    problem, losses = case
    mixtures = every_mixture(problem, losses)
    if not mixtures:
        with pytest.raises(NothingServes):
            front(problem, losses)
        return
    found = front(problem, losses)
    points = [found.mixture(at) for at in range(len(found))]
    assert found.whole
    assert [(each.bytes, each.loss) for each in points] == best_points(mixtures)
    assert [(size, loss) for size, loss in zip(found.bytes.tolist(), found.loss.tolist(), strict=True)] == best_points(
        mixtures
    )
    assert all(dict(each.sources) in list(every_choice(problem)) for each in points)


@FEW
@given(problems())
def test_a_front_that_is_too_long_keeps_points_that_are_on_it(case: tuple[Problem, Losses]) -> None:
    problem, losses = case
    mixtures = every_mixture(problem, losses)
    if not mixtures:
        return
    found = front(problem, losses, most=0)
    points = [(each.bytes, each.loss) for each in map(found.mixture, range(len(found)))]
    assert not found.whole
    assert set(points) <= set(best_points(mixtures))
    assert points[0] == best_points(mixtures)[0]
    assert points[-1] == best_points(mixtures)[-1]
    assert points == sorted(points)


@settings(max_examples=4, deadline=None)
@given(problems(units=4))
def test_of_blocks_that_depend_on_each_other_budgets_are_solved(case: tuple[Problem, Losses]) -> None:
    problem, losses = case
    mixtures = every_mixture(problem, losses)
    if not mixtures:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "MOST_COLUMNS", 1)
        found = front(problem, losses)
        points = [(each.bytes, each.loss) for each in map(found.mixture, range(len(found)))]
    assert set(points) <= set(best_points(mixtures))
    assert points[0] == best_points(mixtures)[0]
    assert points[-1][1] == best_points(mixtures)[-1][1]


def test_the_integer_programme_finds_the_points_of_the_front() -> None:
    """A model of 20 units with interactions, which nobody can try in all ways: two methods, the same figures."""
    problem, losses = model(layers=5)
    found = front(problem, losses)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "MOST_POINTS", 0)
        for at in range(0, len(found), len(found) // 3):
            point = found.mixture(at)
            solved = least_loss(problem, losses, limit=Limit(bytes=point.bytes))
            assert (solved.bytes, solved.loss) == (point.bytes, pytest.approx(point.loss, rel=1e-12))
            if at:
                below = least_loss(problem, losses, limit=Limit(bytes=point.bytes - 1))
                assert below.loss == pytest.approx(found.mixture(at - 1).loss, rel=1e-12)


@pytest.mark.parametrize(("layers", "pairs"), [(60, False), (30, True)])
def test_the_front_of_a_whole_model_takes_a_moment(layers: int, pairs: bool) -> None:
    problem, losses = model(layers=layers, pairs=pairs)
    began = time.perf_counter()
    found = front(problem, losses)
    assert time.perf_counter() - began < 5  # 0.3 s where nothing else runs
    assert found.whole
    assert len(found) > 1000
    assert all(first < second for first, second in pairwise(found.bytes.tolist()))
    assert all(first > second for first, second in pairwise(found.loss.tolist()))
    point = found.mixture(len(found) // 2)
    assert point.loss == pytest.approx(found.loss[len(found) // 2], rel=1e-12)
    assert found.within(point.bytes) == point
    assert found.within(int(found.bytes[0]) - 1) is None


def test_a_solution_leaves_behind_only_what_cannot_be_the_best() -> None:
    """The front keeps all points and the solver few, by bounds: at every budget the same mixture."""
    problem, losses = model(layers=16)
    found = front(problem, losses)
    budgets = range(int(found.bytes[0]), int(found.bytes[-1]), int(found.bytes[-1] - found.bytes[0]) // 9)
    for budget in (*budgets, int(found.bytes[-1])):
        known, solved = found.within(budget), least_loss(problem, losses, limit=Limit(bytes=budget))
        assert known is not None
        assert (solved.bytes, solved.loss) == (known.bytes, pytest.approx(known.loss, rel=1e-12))


def test_points_that_are_shown_are_even_in_bytes_with_both_ends_and_the_knee() -> None:
    problem, losses = model(layers=30, pairs=False)
    found = front(problem, losses)
    points = shown(found, 21)
    sizes = [each.bytes for each in points]
    assert 21 <= len(points) <= 22
    assert (sizes[0], sizes[-1]) == (found.bytes[0], found.bytes[-1])
    assert found.bytes[knee(found)] in sizes
    step = (sizes[-1] - sizes[0]) / 20
    assert all(second - first < 1.2 * step for first, second in pairwise(sizes))
    assert len(shown(found, 5)) in (5, 6)


@FEW
@given(problems(), st.floats(0, 1), st.integers(0, 9))
def test_baselines_fit_their_budget_and_never_lose_less_than_the_best(
    case: tuple[Problem, Losses], share: float, seed: int
) -> None:
    problem, losses = case
    mixtures = every_mixture(problem, losses)
    if not mixtures:
        return
    sizes = sorted(each.bytes for each in mixtures)
    budget = sizes[round(share * (len(sizes) - 1))]
    least = min(each.loss for each in mixtures if each.bytes <= budget)
    for name, fill in BASELINES.items():
        found = fill(problem, losses, budget=budget, **({"seed": seed} if name == "random" else {}))
        if found is not None:
            assert found.bytes <= budget, name
            assert found.loss >= least, name
            assert dict(found.sources) in list(every_choice(problem)), name


def test_baselines_do_what_their_names_say() -> None:
    problem, losses = model(layers=6, sources=("model", "int8", "gptq"), pairs=False)
    smallest, largest = (sum(pick(o.bytes for o in u.options) for u in problem.units) for pick in (min, max))
    budget = problem.fixed_bytes + (smallest + largest) // 2
    found = {
        name: fill(problem, losses, budget=budget, **({"seed": 1} if name == "random" else {}))
        for name, fill in BASELINES.items()
    }
    assert all(each is not None for each in found.values())
    first, last, alone = (found[name].sources for name in ("first layers", "last layers", "uniform"))  # type: ignore[union-attr]
    assert first["model.layers.0.mlp.down_proj"] == last["model.layers.5.mlp.down_proj"] == "model"
    assert first["model.layers.5.mlp.gate_up_proj"] == last["model.layers.0.mlp.gate_up_proj"] == "gptq"
    assert set(alone.values()) == {"int8"}
    assert found["greedy"].loss < min(found[name].loss for name in found if name != "greedy")  # type: ignore[union-attr]
    assert random_units(problem, losses, budget=budget, seed=1) == found["random"]
    assert random_units(problem, losses, budget=budget, seed=2) != found["random"]
