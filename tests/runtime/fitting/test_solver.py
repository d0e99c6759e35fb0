"""The solver: what it chooses is the best of all choices, whatever is limited, paired or forbidden."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_runtime.fitting import blocks, merging, solver
from mixprec_runtime.fitting.errors import NoMixtureFits, NothingServes, SolverGaveUp, UntimedOptions
from mixprec_runtime.fitting.solver import least_bytes, least_loss
from mixprec_runtime.records.fit import ChosenMixture, Forbidden, JointLoss, Losses, Problem
from mixprec_runtime.records.fit_report import Limit
from tests.runtime.fitting.problems import every_mixture, model, option, problems, unit

NAMES = ("model", "int8", "gptq")
FEW = settings(max_examples=20, deadline=None)


def within(limit: Limit, mixture: ChosenMixture) -> bool:
    fits = limit.bytes is None or mixture.bytes <= limit.bytes
    if limit.bytes_per_rank is not None:
        fits = fits and all(map(int.__le__, mixture.bytes_per_rank, limit.bytes_per_rank))
    return fits and (limit.seconds is None or (mixture.seconds or 0) <= limit.seconds)


def best(mixtures: list[ChosenMixture], limit: Limit) -> tuple[float, int] | None:
    return min(((each.loss, each.bytes) for each in mixtures if within(limit, each)), default=None)


def solved(problem: Problem, losses: Losses, limit: Limit) -> tuple[float, int] | None:
    try:
        found = least_loss(problem, losses, limit=limit)
    except (NoMixtureFits, NothingServes):
        return None
    assert within(limit, found)
    assert found.loss == losses.of(found.sources)
    return found.loss, found.bytes


@FEW
@given(problems(), st.floats(0, 1), st.integers(-1, 1))
def test_nothing_loses_less_within_the_bytes(case: tuple[Problem, Losses], share: float, off: int) -> None:
    problem, losses = case
    mixtures = every_mixture(problem, losses)
    sizes = sorted(each.bytes for each in mixtures) or [0]
    limit = Limit(bytes=sizes[round(share * (len(sizes) - 1))] + off)
    assert solved(problem, losses, limit) == best(mixtures, limit)


@FEW
@given(problems(ranks=3, units=4), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_every_rank_fits_and_nothing_that_does_loses_less(case: tuple[Problem, Losses], shares: list[float]) -> None:
    problem, losses = case
    mixtures = every_mixture(problem, losses)
    held = [sorted(each.bytes_per_rank[rank] for each in mixtures) or [0] for rank in range(3)]
    limit = Limit(
        bytes_per_rank=tuple(sizes[round(share * (len(sizes) - 1))] for sizes, share in zip(held, shares, strict=True))
    )
    assert solved(problem, losses, limit) == best(mixtures, limit)


@FEW
@given(problems(), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_stages_of_layers_are_filled_each_by_itself(case: tuple[Problem, Losses], shares: list[float]) -> None:
    """Units 0 to 2 are of the first layer and stage, the others of the second; pairs and bans within a stage alone."""
    problem, losses = case
    stage = {each.name: each.layer or 0 for each in problem.units}
    problem = replace(
        problem,
        units=tuple(
            replace(
                each,
                options=tuple(
                    replace(o, bytes_per_rank=tuple(o.bytes * (stage[each.name] == rank) for rank in range(2)))
                    for o in each.options
                ),
            )
            for each in problem.units
        ),
        forbidden=tuple(each for each in problem.forbidden if len({stage[name] for name, _ in each.choices}) == 1),
        fixed_bytes_per_rank=(problem.fixed_bytes, 0),
    )
    losses = replace(losses, joint=tuple(j for j in losses.joint if len({stage[name] for name, _ in j.choices}) == 1))
    mixtures = every_mixture(problem, losses)
    held = [sorted(each.bytes_per_rank[rank] for each in mixtures) or [0] for rank in range(2)]
    limit = Limit(
        bytes_per_rank=tuple(sizes[round(share * (len(sizes) - 1))] for sizes, share in zip(held, shares, strict=True))
    )
    with pytest.MonkeyPatch.context() as patch:
        if best(mixtures, limit) is not None:
            patch.setattr(solver, "_programme", None)  # not needed
        assert solved(problem, losses, limit) == best(mixtures, limit)


@FEW
@given(problems(units=4), st.floats(0, 1))
def test_seconds_can_be_what_is_limited(case: tuple[Problem, Losses], share: float) -> None:
    problem, losses = case
    mixtures = every_mixture(problem, losses)
    times = sorted(each.seconds or 0 for each in mixtures) or [0.0]
    limit = Limit(seconds=times[round(share * (len(times) - 1))])
    assert solved(problem, losses, limit) == best(mixtures, limit)


@FEW
@given(problems(), st.floats(0, 1))
def test_nothing_smaller_loses_as_little(case: tuple[Problem, Losses], share: float) -> None:
    problem, losses = case
    mixtures = every_mixture(problem, losses)
    nats = sorted(each.loss for each in mixtures)
    if not nats:
        with pytest.raises(NothingServes):
            least_bytes(problem, losses, most_loss=1.0)
        return
    most = nats[round(share * (len(nats) - 1))]
    found = least_bytes(problem, losses, most_loss=most)
    assert (found.bytes, found.loss) == min((each.bytes, each.loss) for each in mixtures if each.loss <= most)


@FEW
@given(problems(), st.floats(0, 1))
def test_the_integer_programme_finds_the_same(case: tuple[Problem, Losses], share: float) -> None:
    problem, losses = case
    mixtures = every_mixture(problem, losses)
    sizes = sorted(each.bytes for each in mixtures) or [0]
    limit = Limit(bytes=sizes[round(share * (len(sizes) - 1))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "MOST_POINTS", 0)
        assert solved(problem, losses, limit) == best(mixtures, limit)
        if mixtures:
            most = best(mixtures, limit)[0]  # type: ignore[index]
            found = least_bytes(problem, losses, most_loss=most)
            assert (found.bytes, found.loss) == min((each.bytes, each.loss) for each in mixtures if each.loss <= most)


@FEW
@given(problems(), st.floats(0, 1))
def test_blocks_that_are_too_large_to_list_are_solved_as_products(case: tuple[Problem, Losses], share: float) -> None:
    problem, losses = case
    mixtures = every_mixture(problem, losses)
    sizes = sorted(each.bytes for each in mixtures) or [0]
    limit = Limit(bytes=sizes[round(share * (len(sizes) - 1))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "MOST_COLUMNS", 4)
        assert solved(problem, losses, limit) == best(mixtures, limit)


def test_two_choices_that_are_good_together_are_taken_together() -> None:
    sizes = (option("model", 10), option("int8", 5))
    alone = {(name, source): float(source == "int8") for name in "ab" for source in ("model", "int8")}
    better = JointLoss(choices=(("a", "int8"), ("b", "int8")), nats=-2.5)
    problem = Problem(
        units=(unit("a", *sizes), unit("b", *sizes)), forbidden=(), fixed_bytes=3, fixed_bytes_per_rank=(3,)
    )
    losses = Losses(method="kl", alone=alone, joint=(better,))
    assert least_loss(problem, losses, limit=Limit(bytes=23)).sources == {"a": "int8", "b": "int8"}
    assert least_loss(problem, replace(losses, joint=()), limit=Limit(bytes=23)).bytes == 23


def two_units(*, forbidden: tuple[Forbidden, ...] = (), sizes: tuple[int, int] = (10, 5)) -> tuple[Problem, Losses]:
    options = (option("model", sizes[0]), option("int8", sizes[1]))
    problem = Problem(
        units=(unit("a", *options), unit("b", *options)), forbidden=forbidden, fixed_bytes=3, fixed_bytes_per_rank=(3,)
    )
    return problem, Losses(method="kl", alone={(n, s): float(s == "int8") for n in "ab" for s in ("model", "int8")})


def test_a_budget_below_everything_says_the_smallest_and_how_much_is_missing() -> None:
    problem, losses = two_units(sizes=(20_000_000, 10_000_000))
    with pytest.raises(NoMixtureFits, match=r"at most 15\.0 MB for the whole model.* 20\.0 MB, 5\.0 MB more") as caught:
        least_loss(problem, losses, limit=Limit(bytes=15_000_003))
    assert (caught.value.smallest, caught.value.missing) == (20_000_003, 5_000_000)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301


def test_a_loss_below_everything_says_the_least() -> None:
    problem, losses = two_units(forbidden=(Forbidden(choices=(("a", "model"),), why="a is too large"),))
    with pytest.raises(NoMixtureFits, match=r"wanted at most 0\.5 nats .* the least there is 1 nats"):
        least_bytes(problem, losses, most_loss=0.5)


def test_the_rank_that_is_too_small_is_named() -> None:
    options = (option("model", 30, ranks=(10, 20)), option("int8", 14, ranks=(5, 9)))
    problem = Problem(units=(unit("a", *options),), forbidden=(), fixed_bytes=2, fixed_bytes_per_rank=(1, 1))
    losses = Losses(method="kl", alone={("a", "model"): 0.0, ("a", "int8"): 1.0})
    with pytest.raises(NoMixtureFits, match="at most 9 bytes on rank 1, the least there is 10 bytes, 1 bytes more"):
        least_loss(problem, losses, limit=Limit(bytes_per_rank=(11, 9)))


def test_ranks_that_fit_one_by_one_but_not_together_are_told_apart() -> None:
    """Either choice is too much for one of the two ranks."""
    options = (option("model", 30, ranks=(10, 20)), option("int8", 30, ranks=(20, 10)))
    problem = Problem(units=(unit("a", *options),), forbidden=(), fixed_bytes=0, fixed_bytes_per_rank=(0, 0))
    losses = Losses(method="kl", alone={("a", "model"): 0.0, ("a", "int8"): 1.0})
    with pytest.raises(NoMixtureFits) as caught:
        least_loss(problem, losses, limit=Limit(bytes_per_rank=(12, 12)))
    assert (caught.value.wanted, caught.value.smallest) == (12, 20)


def test_options_without_seconds_are_named_where_time_is_limited() -> None:
    problem, losses = two_units()
    with pytest.raises(UntimedOptions, match="4 options have no timed kernel\n  a from model"):
        least_loss(problem, losses, limit=Limit(seconds=1.0))


def test_a_unit_that_nothing_serves_says_why() -> None:
    bans = tuple(
        Forbidden(choices=(("a", source),), why=f"{source} is not served here") for source in ("model", "int8")
    )
    problem, losses = two_units(forbidden=bans)
    with pytest.raises(NothingServes, match=r"wanted a source for a; .*\n  model is not served here\n  int8 is not"):
        least_loss(problem, losses, limit=Limit())


def test_choices_that_exclude_each_other_all_around_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed as one block or, where that is too large, as a programme: two units, every pair of sources forbidden."""
    sources = ("model", "int8")
    bans = tuple(Forbidden(choices=(("a", s), ("b", t)), why=f"{s} beside {t}") for s in sources for t in sources)
    problem, losses = two_units(forbidden=bans)
    for most in (blocks.MOST_COLUMNS, 2):
        monkeypatch.setattr(blocks, "MOST_COLUMNS", most)
        with pytest.raises(
            NothingServes, match=r"wanted a source for a, b; .*\n  model beside model\n  model beside int8"
        ):
            least_loss(problem, losses, limit=Limit(bytes=100))
        with pytest.raises(NothingServes):
            least_bytes(problem, losses, most_loss=10)


def test_an_option_whose_loss_is_not_a_number_is_never_taken() -> None:
    problem, losses = two_units()
    losses = replace(losses, alone={**losses.alone, ("a", "int8"): float("nan")})
    assert least_loss(problem, losses, limit=Limit(bytes=18)).sources == {"a": "model", "b": "int8"}
    with pytest.raises(NoMixtureFits):
        least_loss(problem, losses, limit=Limit(bytes=17))


def test_without_time_the_solver_says_that_it_is_not_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MOST_POINTS", 0)
    problem, losses = model(layers=40)
    with pytest.raises(SolverGaveUp, match=r"not found for certain: 0\.02 s were over"):
        least_loss(problem, losses, limit=Limit(bytes=190_000_000), seconds=0.02)


def test_a_model_of_terabytes_is_exact_to_the_byte() -> None:
    """Losses of 1e-7 nats and units of 1e11 bytes; only one choice is a byte within the limit."""
    sizes, nats = (10**11 + 7, 10**11 + 3, 10**10 + 1), (0.0, 1e-7, 3e-7)
    units, alone = [], {}
    for at in range(6):
        units.append(unit(f"u{at}", *(option(s, size + at) for s, size in zip(NAMES, sizes, strict=True))))
        alone.update({(f"u{at}", s): n * (1 + at / 10) for s, n in zip(NAMES, nats, strict=True)})
    problem = Problem(units=tuple(units), forbidden=(), fixed_bytes=10**12, fixed_bytes_per_rank=(10**12,))
    losses = Losses(method="kl", alone=alone)
    mixtures = every_mixture(problem, losses)
    for at in range(0, len(mixtures), 61):
        for off in (-1, 0):
            limit = Limit(bytes=mixtures[at].bytes + off)
            assert solved(problem, losses, limit) == best(mixtures, limit)


def test_the_same_problem_in_another_order_has_the_same_answer() -> None:
    problem, losses = model(layers=8)
    limit = Limit(bytes=problem.fixed_bytes + 30_000_000)
    shuffled = replace(problem, units=problem.units[::-1])
    other = replace(losses, joint=losses.joint[::-1])
    assert least_loss(shuffled, other, limit=limit).sources == least_loss(problem, losses, limit=limit).sources


def test_nothing_is_written_to_standard_output(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """HiGHS tells of its insides there now and then: of this problem it did."""
    monkeypatch.setattr(merging, "MOST_POINTS", 0)
    problem, losses = model(layers=30, pairs=False)
    least_bytes(problem, losses, most_loss=0.0571)
    assert capfd.readouterr().out == ""
