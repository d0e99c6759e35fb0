"""What a mix leaves open becomes a problem whose bytes are those of its plans, and none of whose choices is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_runtime.fitting.choices import NothingToChoose, UnknownSources, problem_of
from mixprec_runtime.fitting.constraints import unserved_choices
from mixprec_runtime.fitting.errors import NothingServes
from mixprec_runtime.fitting.mixtures import mix_of
from mixprec_runtime.launching.errors import RefusedPlan
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.fit import Problem
from mixprec_runtime.records.mix import Mix
from tests.runtime.builders import HIDDEN, LAYOUTS, Workshop, model_tensors
from tests.runtime.fitting.zoo import FORMATS, random_choice, read, zoo_mixes


def check_against_plans(mix: Mix, problem: Problem, seeds: Sequence[int], *, ranks: int = 1, stages: int = 1) -> int:
    """How many choices were held against their plans, each without a fault and with the same bytes."""
    seen = 0
    readers: dict[str, set[str]] = {}
    for unit in problem.units:
        for module in {module for option in unit.options for module in option.follows}:
            readers.setdefault(module, set()).add(unit.name)
    for seed in seeds:
        chosen = random_choice(problem, seed)
        if chosen is None:
            continue
        plan = make_plan(mix_of(mix, problem.units, chosen), tensor_parallel_size=ranks, pipeline_parallel_size=stages)
        assert plan.valid, [finding.summary for finding in plan.findings]
        assert plan.totals.bytes == problem.bytes_of(chosen)
        assert plan.totals.bytes_per_rank == problem.bytes_per_rank_of(chosen)
        sources = {layer.layer: layer.source for layer in plan.layers}
        for unit in problem.units:
            assert {sources[module] for module in unit.modules if module in sources} <= {chosen[unit.name]}
            for module in unit.option(chosen[unit.name]).follows:  # or from where another unit that reads it comes from
                assert sources[module] in {chosen[unit.name], *map(chosen.get, readers[module])}
        seen += 1
    return seen


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mix]:
    return zoo_mixes(tmp_path_factory)


@settings(max_examples=16, deadline=None)
@given(
    st.sampled_from(["plain", "tied", "smoothed", "experts", "folded", "ruled", "tower", "scaled", "parallel"]),
    st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 2)]),
    st.data(),
)
def test_bytes_are_those_of_the_plan_and_no_choice_is_refused(
    zoo: Mapping[str, Mix], name: str, world: tuple[int, int], data: st.DataObject
) -> None:
    mix, (ranks, stages) = zoo[name], world
    choose = data.draw(st.sets(st.sampled_from(["model", *mix.sources]), min_size=2))
    problem = problem_of(mix, choose=sorted(choose), ranks=ranks, stages=stages)
    assert check_against_plans(mix, problem, range(4), ranks=ranks, stages=stages) > 0


def test_units_are_what_an_engine_keeps_in_one_parameter_with_the_largest_option_first(zoo: Mapping[str, Mix]) -> None:
    problem = problem_of(zoo["plain"])
    assert [(unit.layer, unit.kind) for unit in problem.units[:5]] == [
        (0, "self_attn.qkv_proj"), (0, "self_attn.o_proj"), (0, "mlp.gate_up_proj"), (0, "mlp.down_proj"),
        (1, "self_attn.qkv_proj"),
    ]  # fmt: skip
    first = problem.units[0]
    assert first.name == "model.layers.0.self_attn.qkv_proj"
    assert first.modules == tuple(f"model.layers.0.self_attn.{part}_proj" for part in "qkv")
    assert first.parameters == HIDDEN * HIDDEN * 2
    assert first.options[0].source == "model" and {option.source for option in first.options} == {"model", *FORMATS}
    assert problem.fixed == {"lm_head": "model"}, "no source has another output head than the base"


def test_experts_are_one_unit_that_its_router_follows(zoo: Mapping[str, Mix]) -> None:
    problem = problem_of(zoo["experts"])
    unit = problem.unit("model.layers.1.mlp.experts")
    assert unit.modules == ("model.layers.1.mlp.experts",)
    follows = {option.source: option.follows for option in unit.options}
    assert follows["model"] == ()
    assert follows["gptq"] == ("model.layers.1.mlp.gate", "model.layers.1.mlp.shared_expert_gate")
    assert follows["awq"] == (*follows["gptq"], "model.layers.1.post_attention_layernorm")


def test_units_that_read_one_norm_exclude_sources_that_need_two(zoo: Mapping[str, Mix]) -> None:
    forbidden = {each.choices for each in problem_of(zoo["experts"], choose=["gptq", "awq"]).forbidden}
    shared, experts = (f"model.layers.0.mlp.{name}" for name in ("shared_expert.gate_up_proj", "experts"))
    assert {frozenset(each) for each in forbidden if (experts, "awq") in each} == {
        frozenset({(shared, "gptq"), (experts, "awq")})
    }


def test_layers_with_scales_between_them_are_chosen_together_or_not_at_all(zoo: Mapping[str, Mix]) -> None:
    problem = problem_of(zoo["folded"])
    up, down = "model.layers.0.mlp.gate_up_proj", "model.layers.0.mlp.down_proj"
    forbidden = {each.choices: each.why for each in problem.forbidden}
    assert ((up, "smooth"), (down, "model")) in forbidden and ((up, "int8"), (down, "smooth")) in forbidden
    assert ((up, "even"), (down, "model")) not in forbidden
    assert (
        forbidden[(up, "smooth"), (down, "model")]
        == "MP637: up_proj and down_proj of 'smooth' have scales between them"
    )


def test_what_rules_and_ignore_name_is_fixed_and_the_default_is_not_used(shop: Workshop) -> None:
    shop.checkpoints("base", "gptq", "fp8")
    rules = (
        "default: fp8\nrules:\n- {targets: ['re:.*o_proj$'], source: gptq}\nignore: ['re:.*layers.0.mlp.down_proj']\n"
    )
    problem = problem_of(read(shop, "gptq", "fp8", more=rules))
    assert {unit.kind for unit in problem.units} == {"self_attn.qkv_proj", "mlp.gate_up_proj", "mlp.down_proj"}
    assert problem.fixed == {
        "model.layers.0.self_attn.o_proj": "gptq", "model.layers.1.self_attn.o_proj": "gptq",
        "model.layers.0.mlp.down_proj": "model", "lm_head": "model",
    }  # fmt: skip
    assert check_against_plans(read(shop, "gptq", "fp8", more=rules), problem, range(5)) == 5


def test_a_source_without_all_modules_of_a_unit_is_no_option_for_it(shop: Workshop) -> None:
    shop.checkpoint("base")
    tensors = model_tensors(LAYOUTS["fp8"][0])
    del tensors["model.layers.1.mlp.up_proj.weight"], tensors["model.layers.1.mlp.up_proj.weight_scale"]
    shop.checkpoint("fp8", tensors)
    mix = read(shop, "fp8")
    problem = problem_of(mix)
    unit = "model.layers.1.mlp.gate_up_proj"
    assert unit not in {each.name for each in problem.units}, "nothing is left to choose"
    assert problem.fixed["model.layers.1.mlp.gate_proj"] == "model"
    (left,) = [each for each in problem.left_out if each.choices == ((unit, "fp8"),)]
    assert left.why == "MP630: source 'fp8' lacks modules that the mix takes from it (1)"
    assert check_against_plans(mix, problem, range(5)) == 5


def test_ranks_that_would_cut_groups_leave_the_format_out(shop: Workshop) -> None:
    shop.checkpoints("base", "gptq", "fp8")
    mix = read(shop, "gptq", "fp8")
    problem = problem_of(mix, ranks=4)
    options = {unit.kind: {option.source for option in unit.options} for unit in problem.units}
    assert options["self_attn.o_proj"] == {"model", "fp8"} and options["mlp.down_proj"] == {"model", "fp8", "gptq"}
    whys = [each.why for each in problem.left_out if each.choices[0] == ("model.layers.0.self_attn.o_proj", "gptq")]
    assert whys == ["MP649: 4 ranks would cut what must stay whole in source 'gptq' (2)"]
    assert check_against_plans(mix, problem, range(5), ranks=4) == 5
    with pytest.raises(RefusedPlan, match="MP645"):
        problem_of(read(shop, "gptq", "fp8"), ranks=3)


def test_a_rule_for_a_part_of_a_fused_unit_leaves_what_is_of_its_scheme(shop: Workshop) -> None:
    shop.checkpoints("base", "gptq", "fp8")
    mix = read(shop, "gptq", "fp8", more="rules: [{targets: ['re:.*q_proj$'], source: fp8}]\n")
    problem = problem_of(mix, choose=["gptq", "fp8"])
    unit = problem.unit("model.layers.0.self_attn.qkv_proj")
    assert unit.modules == tuple(f"model.layers.0.self_attn.{part}_proj" for part in "kv")
    assert [option.source for option in unit.options] == ["fp8"]
    assert check_against_plans(mix, problem, range(5)) == 5
    with pytest.raises(NothingServes, match="they are not of one scheme"):
        problem_of(
            read(
                shop,
                "gptq",
                "fp8",
                more="rules: [{targets: ['re:.*q_proj$'], source: fp8}, {targets: ['re:.*k_proj$'], source: gptq}]\n",
            )
        )


def test_scales_of_the_cache_go_with_the_keys_or_leave_their_source_out(zoo: Mapping[str, Mix]) -> None:
    problem = problem_of(zoo["scaled"])
    qkv = problem.unit("model.layers.0.self_attn.qkv_proj")
    assert {option.source for option in qkv.options} == {"model", "gptq", "fp8"}
    plain = problem_of(replace(zoo["scaled"], serve={})).unit(qkv.name)
    assert qkv.option("fp8").bytes == plain.option("fp8").bytes + 2 * 4
    assert qkv.option("gptq").bytes == plain.option("gptq").bytes
    assert any(each.choices == ((qkv.name, "int8"),) and "MP639" in each.why for each in problem.left_out)


def test_names_to_choose_among_must_be_sources(zoo: Mapping[str, Mix]) -> None:
    with pytest.raises(UnknownSources, match=r"'gtpq'.*\n.*model, gptq"):
        problem_of(zoo["plain"], choose=["model", "gtpq"])


def test_a_mix_that_leaves_nothing_open_is_refused(shop: Workshop) -> None:
    shop.checkpoints("base", "fp8")
    with pytest.raises(NothingToChoose, match="leaves none among model, fp8"):
        problem_of(read(shop, "fp8", more="ignore: [Linear]\n"))
    with pytest.raises(NothingToChoose):
        problem_of(read(shop, "fp8"), choose=["fp8"])


def test_a_source_that_cannot_be_read_is_an_error_of_the_mix(shop: Workshop) -> None:
    shop.checkpoints("base", "fp8")
    (shop.root / "fp8" / "model.safetensors").write_bytes(b"not one")
    with pytest.raises(RefusedPlan, match="source 'fp8' cannot be used"):
        problem_of(read(shop, "fp8"))


def test_a_choice_that_the_plan_refuses_comes_back_as_a_constraint(zoo: Mapping[str, Mix]) -> None:
    problem = replace(problem_of(zoo["folded"]), forbidden=())
    chosen = {unit.name: "smooth" if unit.kind == "mlp.gate_up_proj" else "int8" for unit in problem.units}
    found = unserved_choices(zoo["folded"], problem, chosen)
    pairs = {frozenset(each.choices) for each in found}
    assert pairs == {
        frozenset({(f"model.layers.{at}.mlp.gate_up_proj", "smooth"), (f"model.layers.{at}.mlp.down_proj", "int8")})
        for at in range(2)
    }
    assert unserved_choices(zoo["folded"], problem, dict.fromkeys(chosen, "int8")) == ()
