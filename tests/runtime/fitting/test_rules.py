"""The rules of a choice give every module exactly its source, and are as few and as short as people would write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_runtime.fitting.choices import problem_of
from mixprec_runtime.fitting.covering import Cover, fewest_covers
from mixprec_runtime.fitting.mixtures import mix_of
from mixprec_runtime.fitting.patterns import number_pattern
from mixprec_runtime.fitting.rules import shortest_rules
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.fit import Problem
from mixprec_runtime.records.mix import Mix
from tests.runtime.builders import LAYOUTS, Tensors, Workshop, model_tensors
from tests.runtime.fitting.zoo import random_choice, read, zoo_mixes

Table = dict[tuple[str, int], str]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mix]:
    return zoo_mixes(tmp_path_factory)


def written(mix: Mix, problem: Problem, chosen: Mapping[str, str]) -> list[tuple[str, str]]:
    """The rules beyond the mix's own as (target, source), after they were held against the plan of the choice."""
    default, rules = shortest_rules(problem, chosen, mix)
    assert rules[: len(mix.rules)] == mix.rules
    plan = make_plan(replace(mix, default=default, rules=rules))
    wanted = make_plan(mix_of(mix, problem.units, chosen))
    assert {each.layer: each.source for each in plan.layers} == {each.layer: each.source for each in wanted.layers}
    assert not {finding.code for finding in plan.findings} & {"MP620", "MP621"}
    assert plan.valid == wanted.valid
    return [
        ("default", default),
        *((target, rule.source) for rule in rules[len(mix.rules) :] for target in rule.targets),
    ]


@settings(max_examples=16, deadline=None)
@given(
    st.sampled_from(["plain", "tied", "smoothed", "experts", "folded", "ruled", "tower", "scaled", "parallel"]),
    st.integers(0, 10**6),
)
def test_the_rules_of_any_choice_give_exactly_that_choice(zoo: Mapping[str, Mix], name: str, seed: int) -> None:
    problem = problem_of(zoo[name])
    chosen = random_choice(problem, seed)
    if chosen is not None:
        written(zoo[name], problem, chosen)


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Mix:
    """Twelve layers, below the name that a model of several modalities gives its language model."""
    shop = Workshop(tmp_path_factory.mktemp("tall"))
    for name in ("base", "gptq", "fp8"):
        tensors: Tensors = {}
        for module, tensor in model_tensors(LAYOUTS[name][0]).items():
            for copy in range(6) if "layers." in module else (0,):
                for at in (0, 1):
                    if f"layers.{at}." in module or ("layers." not in module and not at):
                        named = module.replace(f"layers.{at}.", f"layers.{at + 2 * copy}.")
                        tensors[named.replace("model.", "model.language_model.")] = tensor
        shop.checkpoint(name, tensors, num_hidden_layers=12)
    return read(shop, "gptq", "fp8", more="ignore: [lm_head]\n")


def choose(problem: Problem, by: Mapping[str, str], *, ends: str | None = None) -> dict[str, str]:
    """A source for each part of a layer, and maybe another for the first and the last layer."""
    return {
        unit.name: ends if ends is not None and unit.layer in (0, 11) else by[unit.kind.partition(".")[0]]
        for unit in problem.units
    }


@pytest.mark.parametrize("by, ends, expected", [
    ({"self_attn": "fp8", "mlp": "fp8"}, None, ["fp8"]),
    ({"self_attn": "fp8", "mlp": "gptq"}, None, ["fp8", r"re:.*\.mlp\..*"]),
    ({"self_attn": "gptq", "mlp": "gptq"}, "model", ["gptq", r"re:model\.language_model\.layers\.(0|11)\..*"]),
    ({"self_attn": "fp8", "mlp": "gptq"}, "model", ["fp8", r"re:model\.language_model\.layers\.(0|11)\..*", r"re:.*\.mlp\..*"]),
])  # fmt: skip
def test_rules_name_kinds_without_numbers_and_whole_layers_where_that_says_it(
    tall: Mix, by: Mapping[str, str], ends: str | None, expected: list[str]
) -> None:
    problem = problem_of(tall)
    (_, default), *rules = written(tall, problem, choose(problem, by, ends=ends))
    assert [default, *(target for target, _ in rules)] == expected


def test_kinds_with_the_same_layers_share_a_rule(tall: Mix) -> None:
    problem = problem_of(tall)
    chosen = {
        unit.name: "fp8" if unit.kind in ("self_attn.o_proj", "mlp.down_proj") and (unit.layer or 0) < 4 else "gptq"
        for unit in problem.units
    }
    assert written(tall, problem, chosen)[-1] == (r"re:model\.language_model\.layers\.[0-3]\..*\.(o|down)_proj$", "fp8")


@given(st.sets(st.integers(0, 130), min_size=1))
def test_a_pattern_of_numbers_means_these_numbers_and_no_others(numbers: set[int]) -> None:
    pattern = re.compile(number_pattern(numbers))
    assert {number for number in range(1400) if pattern.fullmatch(str(number))} == numbers


@pytest.mark.parametrize("numbers, pattern", [
    ([3], "3"), ([0, 29], "(0|29)"), (range(30), "([0-9]|[12][0-9])"), ([0, 1, 2, 10, 11], "([0-2]|1[01])"), ([4, 5], "[45]"),
])  # fmt: skip
def test_patterns_of_numbers_are_short(numbers: list[int], pattern: str) -> None:
    assert number_pattern(numbers) == pattern


def colour(covers: tuple[Cover, ...], cell: tuple[str, int], default: str) -> str:
    return next((each.colour for each in covers if cell[0] in each.rows and cell[1] in each.columns), default)


TABLES = st.dictionaries(st.tuples(st.sampled_from("wxyz"), st.integers(0, 4)), st.sampled_from("abc"), min_size=1)


@settings(deadline=None)
@given(TABLES, st.sampled_from("abc"))
def test_covers_colour_every_cell_of_a_table(table: Table, default: str) -> None:
    for covers in fewest_covers(table, default=default):
        assert {cell: colour(covers, cell, default) for cell in table} == table


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from("ab"), min_size=6, max_size=6), st.sampled_from("ab"))
def test_no_list_of_covers_is_shorter(letters: list[str], default: str) -> None:
    """Held against all lists of up to two rules on a table of two rows and three columns."""
    table = dict(zip(product("xy", range(3)), letters, strict=True))
    found = fewest_covers(table, default=default)
    columns = [frozenset(at for at in range(3) if mask >> at & 1) for mask in range(1, 8)]
    every = [
        Cover(rows=rows, columns=each, colour=name)
        for rows in (("x",), ("y",), ("x", "y"))
        for each in columns
        for name in "ab"
    ]
    shorter = [covers for length in range(min(3, len(found[0]))) for covers in product(every, repeat=length)]
    assert not any(all(colour(covers, cell, default) == table[cell] for cell in table) for covers in shorter)
