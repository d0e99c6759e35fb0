"""Experts of a layer are one unit; routers go with them; stacked experts are met by checkpoints that hold them singly."""

from __future__ import annotations

import pytest

from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.experts import expert_layer, is_router
from mixprec_runtime.planning.workload import workload_of
from mixprec_runtime.records.plan import Plan
from tests.runtime.builders import HIDDEN, LAYOUTS, MIDDLE, Layout, Tensor, Tensors, Workshop, model_tensors, plain

EXPERTS = 3
MIX = "model: base\nsources: {gptq: {path: gptq}, fp8: {path: fp8}}\n"
PARTS = {"gate_proj": (MIDDLE, HIDDEN), "up_proj": (MIDDLE, HIDDEN), "down_proj": (HIDDEN, MIDDLE)}


def with_experts(layout: Layout = plain, *, stacked: bool = False) -> Tensors:
    """The model's tensors with experts, a router and a shared expert in place of the feed-forward part."""
    tensors = {name: tensor for name, tensor in model_tensors(layout).items() if ".mlp." not in name}
    for layer in range(2):
        at = f"model.layers.{layer}.mlp"
        tensors[f"{at}.gate.weight"] = Tensor("BF16", (EXPERTS, HIDDEN))
        tensors[f"{at}.shared_expert_gate.weight"] = Tensor("BF16", (1, HIDDEN))
        for part, shape in PARTS.items():
            for suffix, tensor in layout(*shape).items():
                tensors[f"{at}.shared_expert.{part}.{suffix}"] = tensor
                for expert in () if stacked else range(EXPERTS):
                    tensors[f"{at}.experts.{expert}.{part}.{suffix}"] = tensor
        if stacked:
            tensors[f"{at}.experts.gate_up_proj"] = Tensor("BF16", (EXPERTS, 2 * MIDDLE, HIDDEN))
            tensors[f"{at}.experts.down_proj"] = Tensor("BF16", (EXPERTS, HIDDEN, MIDDLE))
    return tensors


@pytest.fixture
def moe(shop: Workshop) -> Workshop:
    for name in ("base", "gptq", "fp8"):
        shop.checkpoint(name, with_experts(LAYOUTS[name][0]), num_experts=EXPERTS)
    return shop


def sources(plan: Plan) -> dict[str, str]:
    return {layer.layer.removeprefix("model.layers."): layer.source for layer in plan.layers}


@pytest.mark.parametrize("module, layer", [
    ("model.layers.0.mlp.experts.11.down_proj", "model.layers.0.mlp.experts"),
    ("model.layers.0.block_sparse_moe.experts.0.w1", "model.layers.0.block_sparse_moe.experts"),
    ("model.layers.0.mlp.experts", "model.layers.0.mlp.experts"), ("model.layers.0.mlp.shared_experts.up_proj", None),
    ("model.layers.0.mlp.gate", None), ("experts.0.w1", "experts"), ("model.my_experts.0.w1", None),
])  # fmt: skip
def test_a_module_belongs_to_the_experts_above_it(module: str, layer: str | None) -> None:
    assert expert_layer(module) == layer


def test_only_what_stands_beside_experts_is_a_router() -> None:
    layers = {"model.layers.1.mlp.experts": ()}
    assert is_router("model.layers.1.mlp.gate", layers)
    assert is_router("model.layers.1.mlp.shared_expert_gate", layers)
    assert not is_router("model.layers.0.mlp.gate", layers)
    assert not is_router("model.layers.1.mlp.shared_expert.gate_proj", layers)


def test_experts_may_have_another_source_than_the_rest(moe: Workshop) -> None:
    plan = moe.plan(
        MIX + "default: fp8\nrules: [{targets: ['re:.*\\.experts\\..*'], source: gptq}]\nignore: [lm_head]\n"
    )
    assert plan.valid, plan.findings
    found = sources(plan)
    assert {source for name, source in found.items() if ".experts." in name} == {"gptq"}
    assert {source for name, source in found.items() if "shared_expert." in name or "self_attn" in name} == {"fp8"}


def test_rules_that_split_the_experts_of_a_layer_are_refused_with_the_rule_and_a_cure(moe: Workshop) -> None:
    plan = moe.plan(MIX + "default: fp8\nrules: [{targets: ['re:.*\\.experts\\.[01]\\..*'], source: gptq}]\n")
    (split,) = [finding for finding in plan.findings if finding.code == "MP622"]
    assert "model.layers.0.mlp.experts come from different sources, and so do those of 1 units like it" in split.summary
    assert any(
        "experts.0.gate_proj and 5 more: the rule at" in line and "mix.yaml:4:" in line for line in split.evidence
    )
    assert any("experts.2.gate_proj and 2 more: default (source fp8)" in line for line in split.evidence)
    assert split.remedy is not None and r"mlp.experts\..*'" in split.remedy.text


def test_experts_have_one_source_even_where_two_are_of_one_scheme(moe: Workshop) -> None:
    plan = moe.plan(
        MIX.replace("sources: {", "sources: {again: {path: gptq}, ")
        + "default: again\nrules: [{targets: ['re:.*\\.experts\\.0\\..*'], source: gptq}]\nignore: [lm_head]\n"
    )
    (split,) = [finding for finding in plan.findings if finding.code == "MP622"]
    assert split.summary.endswith("the experts of a layer have one source")


def test_a_source_with_experts_of_two_formats_is_refused(moe: Workshop) -> None:
    tensors = with_experts(LAYOUTS["gptq"][0])
    odd = "model.layers.1.mlp.experts.2.up_proj"
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{odd}.")}
    tensors[f"{odd}.weight"] = Tensor("BF16", (MIDDLE, HIDDEN))
    moe.checkpoint("gptq", tensors, num_experts=EXPERTS)
    plan = moe.plan(MIX + "default: gptq\n")
    (uneven,) = [finding for finding in plan.findings if finding.code == "MP623"]
    assert uneven.evidence == ("model.layers.1.mlp.experts: 0.gate_proj gptq-int4-g16, 2.up_proj bf16",)


def test_a_router_that_no_rule_names_goes_with_its_experts_where_their_source_left_it_plain(moe: Workshop) -> None:
    plan = moe.plan(MIX + "rules: [{targets: ['re:.*\\.experts\\..*'], source: gptq}]\n")
    assert plan.valid, plan.findings
    found = sources(plan)
    assert found["0.mlp.gate"] == found["1.mlp.shared_expert_gate"] == "gptq"
    assert found["0.mlp.shared_expert.up_proj"] == "model"


def test_a_router_that_a_rule_names_comes_from_where_the_rule_says(moe: Workshop) -> None:
    rules = "rules: [{targets: ['re:.*\\.gate$'], source: fp8}, {targets: ['re:.*\\.experts\\..*'], source: gptq}]\n"
    assert sources(moe.plan(MIX + rules))["0.mlp.gate"] == "fp8"


def test_plain_routers_are_no_fault_of_a_quantized_default(moe: Workshop) -> None:
    plan = moe.plan(MIX + "default: gptq\nignore: [lm_head]\n")
    assert plan.valid, plan.findings


def test_a_stack_in_the_base_is_met_by_experts_one_by_one(moe: Workshop) -> None:
    moe.checkpoint("base", with_experts(stacked=True), num_experts=EXPERTS)
    plan = moe.plan(MIX + "rules: [{targets: ['re:.*\\.experts$'], source: gptq}]\n")
    assert plan.valid, plan.findings
    experts = {layer.layer: layer.shape for layer in plan.layers if ".experts" in layer.layer}
    assert len(experts) == 2 * 3 * EXPERTS
    assert experts["model.layers.1.mlp.experts.2.down_proj"] == (HIDDEN, MIDDLE)
    assert experts["model.layers.1.mlp.experts.0.up_proj"] == (MIDDLE, HIDDEN)


def test_a_stack_follows_the_default_and_may_stay_one(moe: Workshop) -> None:
    moe.checkpoint("base", with_experts(stacked=True), num_experts=EXPERTS)
    taken = sources(moe.plan(MIX + "default: fp8\n"))
    assert taken["0.mlp.experts.0.up_proj"] == "fp8" and "0.mlp.experts" not in taken
    kept = sources(moe.plan(MIX + "default: fp8\nignore: ['re:.*\\.experts$']\n"))
    assert kept["0.mlp.experts"] == "model"


def test_a_source_that_lacks_an_expert_of_a_stack_is_refused(moe: Workshop) -> None:
    moe.checkpoint("base", with_experts(stacked=True), num_experts=EXPERTS)
    tensors = {n: t for n, t in with_experts(LAYOUTS["gptq"][0]).items() if ".1.mlp.experts.2.down_proj" not in n}
    moe.checkpoint("gptq", tensors, num_experts=EXPERTS)
    plan = moe.plan(MIX + "rules: [{targets: ['re:.*\\.experts$'], source: gptq}]\n")
    (lacking,) = [finding for finding in plan.findings if finding.code == "MP630"]
    assert any("model.layers.1.mlp.experts" in line for line in lacking.evidence)


def test_a_source_with_another_number_of_experts_is_another_model(moe: Workshop) -> None:
    moe.checkpoint("gptq", with_experts(LAYOUTS["gptq"][0]), num_experts=EXPERTS + 1)
    (other,) = [finding for finding in moe.plan(MIX + "default: gptq\n").findings if finding.code == "MP614"]
    assert other.evidence == (f"num_experts: base {EXPERTS}, source {EXPERTS + 1}",)


def test_a_plain_router_is_tried_without_the_config_of_its_source_and_experts_are_not_tried(moe: Workshop) -> None:
    text = MIX + "rules: [{targets: ['re:.*\\.experts\\..*'], source: gptq}]\n"
    plan = moe.plan(text)
    workload = workload_of(plan, read_mix(moe.root / "mix.yaml"))
    tried = {module: layer.folder for layer in workload.layers for unit in layer.units for module in unit}
    assert tried["model.layers.0.mlp.gate"] == str(moe.root / "base")
    assert not any(".experts." in module for module in tried)
