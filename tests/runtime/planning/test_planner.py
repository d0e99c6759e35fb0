"""Plans: one source for every tensor, rules in their order, and every fault of checkpoints and rules as a finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.records.finding import Severity
from mixprec_runtime.records.plan import LayerPlan, Plan
from tests.runtime.builders import (
    HIDDEN,
    LAYOUTS,
    VOCAB,
    Tensor,
    Workshop,
    awq,
    gptq,
    gptq_with_bias,
    model_tensors,
    plain,
    write_index,
)

ALL = "model: base\nsources: {gptq: {path: gptq}, awq: {path: awq}, int8: {path: int8}, fp8: {path: fp8}, packed: {path: packed}}\n"


def layer(plan: Plan, name: str) -> LayerPlan:
    (found,) = [layer for layer in plan.layers if layer.layer == name]
    return found


def sources(plan: Plan) -> dict[str, str]:
    return {layer.layer.removeprefix("model.layers."): layer.source for layer in plan.layers}


def codes(plan: Plan) -> list[str]:
    return [finding.code for finding in plan.findings]


def said(plan: Plan, code: str) -> str:
    """Everything that the one finding of a code says, without the folder of the test."""
    (finding,) = [finding for finding in plan.findings if finding.code == code]
    remedy = finding.remedy.text if finding.remedy else ""
    return "\n".join([finding.summary, finding.cause, *finding.evidence, remedy])


@pytest.fixture
def mixture(shop: Workshop) -> Workshop:
    shop.checkpoints()
    return shop


def test_without_rules_everything_is_the_base(mixture: Workshop) -> None:
    plan = mixture.plan("model: base\n")
    assert plan.valid and not plan.findings
    names = [tensor.name for layer in plan.layers for tensor in layer.tensors]
    assert sorted(names) == sorted(model_tensors())
    assert len(names) == len(set(names))
    assert plan.totals.bytes == plan.totals.bf16_bytes == sum(len(t.content) for t in model_tensors().values())
    assert set(plan.sources) == {"model"}


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "base"])
def test_the_default_takes_linear_modules_and_nothing_else(mixture: Workshop, name: str) -> None:
    plan = mixture.plan(f"{ALL}default: {name}\nignore: [lm_head]\n")
    assert plan.valid, plan.findings
    for planned in plan.layers:
        linear = planned.layer.endswith("_proj")
        assert planned.source == (name if linear else "model")
        assert planned.format.kind.value == (name if linear else "plain")
    assert set(plan.sources) == {"model", name}
    assert 0 < plan.totals.bytes < plan.totals.bf16_bytes
    assert plan.totals.bytes == sum(plan.totals.by_format.values())


def test_an_output_head_is_a_linear_module_of_the_default(mixture: Workshop) -> None:
    assert sources(mixture.plan(f"{ALL}default: gptq\n"))["lm_head"] == "gptq"


def test_ignore_comes_before_rules_and_rules_before_the_default(mixture: Workshop) -> None:
    found = sources(mixture.plan(
        f"{ALL}default: int8\n"
        "rules:\n"
        "- {targets: ['re:.*\\.(gate|up)_proj$'], source: gptq}\n"
        "- {targets: ['re:model\\.layers\\.0\\.mlp\\..*', 're:.*down_proj'], source: awq}\n"
        "ignore: ['re:model\\.layers\\.1\\.mlp\\.(gate|up)_proj', lm_head]\n"
    ))  # fmt: skip
    assert (found["0.mlp.gate_proj"], found["0.mlp.up_proj"], found["0.mlp.down_proj"]) == ("gptq", "gptq", "awq")
    assert (found["1.mlp.gate_proj"], found["1.mlp.up_proj"], found["1.mlp.down_proj"]) == ("model", "model", "awq")
    assert (found["0.self_attn.o_proj"], found["lm_head"]) == ("int8", "model")


def test_a_class_name_means_every_module_of_the_class(mixture: Workshop) -> None:
    found = sources(mixture.plan(
        f"{ALL}rules:\n- {{targets: [Linear], source: awq}}\n- {{targets: [Embedding], source: gptq}}\n"
    ))  # fmt: skip
    assert {found[name] for name in found if name.endswith("_proj")} == {"awq"}
    assert (found["model.embed_tokens"], found["model.norm"]) == ("gptq", "model")


def test_a_rule_may_move_a_norm(mixture: Workshop) -> None:
    plan = mixture.plan(f"{ALL}rules: [{{targets: [model.norm], source: fp8}}]\n")
    assert plan.valid and sources(plan)["model.norm"] == "fp8"
    assert layer(plan, "model.norm").tensors[0].file.parent.name == "fp8"


def test_a_rule_that_matches_nothing_is_an_error(mixture: Workshop) -> None:
    plan = mixture.plan(f"{ALL}rules:\n- {{targets: ['re:q_proj', gate_up_proj], source: awq}}\n")
    assert not plan.valid
    text = said(plan, "MP620")
    assert "mix.yaml:4:3: this rule matches no module of the model" in text
    assert "re:q_proj" in text and "gate_up_proj is gate_proj, up_proj" in text


def test_a_target_that_matches_nothing_beside_one_that_does_is_an_error(mixture: Workshop) -> None:
    plan = mixture.plan(f"{ALL}rules: [{{targets: [lm_head, lm_haed], source: awq}}]\n")
    assert "target 'lm_haed' matches no module" in said(plan, "MP620")


def test_a_rule_that_never_decides_is_a_warning(mixture: Workshop) -> None:
    plan = mixture.plan(
        f"{ALL}rules:\n- {{targets: [Linear], source: awq}}\n- {{targets: ['re:.*o_proj'], source: gptq}}\n"
    )
    assert plan.valid
    assert [finding.severity for finding in plan.findings] == [Severity.WARNING]
    assert "mix.yaml:5:3: this rule decides nothing" in said(plan, "MP621") and "all 2 matches" in said(plan, "MP621")


def test_rules_that_split_a_fused_unit_are_named_with_the_cure(mixture: Workshop) -> None:
    plan = mixture.plan(
        f"{ALL}rules:\n"
        "- {targets: [model.layers.0.self_attn.q_proj], source: gptq}\n"
        "- {targets: ['re:model\\.layers\\.0\\.self_attn\\.k_proj'], source: awq}\n"
    )
    assert not plan.valid and codes(plan) == ["MP622"]
    text = said(plan, "MP622")
    assert "the parts of model.layers.0.self_attn.qkv_proj come from different sources" in text
    assert f"self_attn.q_proj: the rule at {mixture.root}/mix.yaml:4:3 (source gptq)" in text
    assert f"self_attn.k_proj: the rule at {mixture.root}/mix.yaml:5:3 (source awq)" in text
    assert "self_attn.v_proj: default (source model)" in text
    assert "'re:model.layers.0.self_attn.(q_proj|k_proj|v_proj)$'" in text


def test_ignore_may_split_a_unit_too(mixture: Workshop) -> None:
    plan = mixture.plan(f"{ALL}default: gptq\nignore: ['re:.*up_proj', lm_head]\n")
    assert codes(plan) == ["MP622"]
    assert "and so do those of 1 units like it" in plan.findings[0].summary
    assert "up_proj: ignore (source model)" in "\n".join(plan.findings[0].evidence)


def test_a_unit_of_two_formats_in_one_source_is_an_error(mixture: Workshop) -> None:
    tensors = {name: t for name, t in model_tensors(gptq).items() if ".0.self_attn.q_proj." not in name}
    tensors["model.layers.0.self_attn.q_proj.weight"] = Tensor("BF16", (HIDDEN, HIDDEN))
    mixture.checkpoint("gptq", tensors)
    text = said(mixture.plan(f"{ALL}default: gptq\n"), "MP623")
    assert "model.layers.0.self_attn.qkv_proj: q_proj bf16, k_proj gptq-int4-g16, v_proj gptq-int4-g16" in text


def test_a_bias_of_zeros_is_dropped(mixture: Workshop) -> None:
    plan = mixture.plan(f"{ALL}rules: [{{targets: ['re:.*o_proj'], source: gptq}}]\n")
    assert plan.valid
    assert [t.name.rpartition(".")[2] for t in layer(plan, "model.layers.0.self_attn.o_proj").tensors] == [
        "qweight", "qzeros", "scales", "g_idx",
    ]  # fmt: skip


def test_a_bias_that_is_not_zero_is_refused(mixture: Workshop) -> None:
    tensors = model_tensors(gptq_with_bias)
    tensors["model.layers.1.self_attn.o_proj.bias"] = Tensor("F16", (HIDDEN,), bytes(2 * HIDDEN - 1) + b"\x01")
    mixture.checkpoint("gptq", tensors)
    text = said(mixture.plan(f"{ALL}rules: [{{targets: ['re:.*o_proj'], source: gptq}}]\n"), "MP633")
    assert "model.layers.1.self_attn.o_proj: the source has a bias that is not zero, the base has none" in text
    assert "layers.0" not in text and "mix.yaml:2:" in text and "(1)" in text


def with_bias(out: int, inputs: int) -> dict[str, Tensor]:
    return {**plain(out, inputs), "bias": Tensor("BF16", (out,))}


def test_a_bias_of_the_base_that_the_source_lacks_is_an_error(shop: Workshop) -> None:
    shop.checkpoint("base", model_tensors(with_bias))
    shop.checkpoint("awq")
    text = said(shop.plan("model: base\nsources: {awq: {path: awq}}\ndefault: awq\nignore: [lm_head]\n"), "MP633")
    assert "the base has a bias, the source has none" in text and "(14)" in text


def test_a_bias_of_base_and_source_is_the_source_s(shop: Workshop) -> None:
    shop.checkpoint("base", model_tensors(with_bias))
    shop.checkpoint("gptq")
    plan = shop.plan("model: base\nsources: {gptq: {path: gptq}}\ndefault: gptq\nignore: [lm_head]\n")
    assert plan.valid
    bias = layer(plan, "model.layers.0.mlp.up_proj").tensors[-1]
    assert bias.name.endswith("up_proj.bias") and bias.file.parent.name == "gptq"


def test_a_bias_of_another_length_is_an_error(shop: Workshop) -> None:
    tensors = model_tensors(with_bias)
    tensors["model.layers.0.mlp.up_proj.bias"] = Tensor("BF16", (3,))
    shop.checkpoint("base", model_tensors(with_bias))
    shop.checkpoint("awq", tensors)
    plan = shop.plan("model: base\nsources: {awq: {path: awq}}\ndefault: awq\n")
    assert "model.layers.0.mlp.up_proj: bias: base [64], source [3]" in said(plan, "MP632")


@pytest.mark.parametrize("change, code, words", [
    ({"model.gate.bonus": None}, "MP630", "model.gate: no tensor bonus"),
    ({"model.gate.bonus": Tensor("F32", (5,))}, "MP632", "model.gate: bonus: base [4], source [5]"),
    ({"model.gate.extra": Tensor("F32", (4,))}, "MP631", "model.gate: the base model has no tensor extra there"),
])  # fmt: skip
def test_parameters_beside_a_weight_are_compared_too(
    shop: Workshop, change: dict[str, Tensor | None], code: str, words: str
) -> None:
    tensors = {**model_tensors(), "model.gate.weight": Tensor("BF16", (4, 32)), "model.gate.bonus": Tensor("F32", (4,))}
    shop.checkpoint("base", tensors)
    shop.checkpoint("awq", {name: t for name, t in {**tensors, **change}.items() if t is not None})
    plan = shop.plan("model: base\nsources: {awq: {path: awq}}\nrules: [{targets: [model.gate], source: awq}]\n")
    assert words in said(plan, code)


def test_a_tied_output_head_is_the_embedding_under_a_second_name(shop: Workshop) -> None:
    shop.checkpoint("base", tie_word_embeddings=True)
    shop.checkpoint("gptq", model_tensors(gptq, head=False), tie_word_embeddings=True)
    plan = shop.plan("model: base\nsources: {gptq: {path: gptq}}\ndefault: gptq\nignore: [lm_head]\n")
    assert plan.valid and not plan.findings
    assert "lm_head" not in sources(plan)
    assert sources(plan)["model.embed_tokens"] == "model"


def test_an_untied_output_head_that_the_source_lacks_is_an_error(shop: Workshop) -> None:
    shop.checkpoint("base")
    shop.checkpoint("gptq", model_tensors(gptq, head=False))
    plan = shop.plan("model: base\nsources: {gptq: {path: gptq}}\ndefault: gptq\n")
    assert "lm_head: no tensor" in said(plan, "MP630")


def test_rotary_tables_that_a_tool_saved_are_left_out(shop: Workshop) -> None:
    shop.checkpoint("base", {**model_tensors(), "model.layers.0.self_attn.rotary_emb.inv_freq": Tensor("F32", (4,))})
    assert not [name for name in sources(shop.plan("model: base\n")) if "rotary" in name]


@pytest.mark.parametrize(
    "key, value", [("vocab_size", 49), ("hidden_size", 64), ("num_key_value_heads", 4), ("model_type", "qwen2")]
)
def test_a_source_of_another_model_is_refused(shop: Workshop, key: str, value: object) -> None:
    shop.checkpoint("base")
    shop.checkpoint("awq", **{key: value})
    plan = shop.plan("model: base\nsources:\n  awq: {path: awq}\ndefault: awq\n")
    text = said(plan, "MP614")
    assert "mix.yaml:3:9: source 'awq' is no checkpoint of the base model" in text
    assert f"{key}: base " in text and f"source {value!r}" in text


def test_a_source_of_other_shapes_is_refused_even_if_its_config_agrees(shop: Workshop) -> None:
    shop.checkpoint("base")
    wide = {f"model.layers.0.self_attn.o_proj.{name}": t for name, t in awq(HIDDEN, 2 * HIDDEN).items()}
    shop.checkpoint("awq", {**model_tensors(awq), **wide})
    plan = shop.plan("model: base\nsources: {awq: {path: awq}}\nrules: [{targets: ['re:.*o_proj'], source: awq}]\n")
    assert "model.layers.0.self_attn.o_proj: base [32, 32], source [32, 64]" in said(plan, "MP632")


def test_a_vocabulary_of_other_length_in_the_tensors_is_refused(shop: Workshop) -> None:
    shop.checkpoint("base")
    shop.checkpoint("awq", {**model_tensors(awq), "lm_head.weight": Tensor("BF16", (VOCAB + 16, HIDDEN))})
    plan = shop.plan("model: base\nsources: {awq: {path: awq}}\ndefault: awq\n")
    assert "lm_head: base [48, 32], source [64, 32]" in said(plan, "MP632")


def test_a_module_that_the_source_lacks_or_that_makes_no_layout(shop: Workshop) -> None:
    shop.checkpoint("base")
    tensors = model_tensors(awq)
    for name in (
        "0.mlp.down_proj.qweight",
        "0.mlp.down_proj.qzeros",
        "0.mlp.down_proj.scales",
        "1.mlp.down_proj.scales",
    ):
        del tensors[f"model.layers.{name}"]
    shop.checkpoint("awq", tensors)
    plan = shop.plan("model: base\nsources: {awq: {path: awq}}\nrules: [{targets: ['re:.*down_proj'], source: awq}]\n")
    assert "model.layers.0.mlp.down_proj: no tensor" in said(plan, "MP630")
    assert "model.layers.1.mlp.down_proj: its tensors make no known layout" in said(plan, "MP631")


def test_a_broken_base_module_is_reported(shop: Workshop) -> None:
    shop.checkpoint("base", {**model_tensors(), "model.norm.weight": Tensor("I64", (HIDDEN,))})
    assert "model.norm: its tensors make no known layout: weight I64[32]" in said(shop.plan("model: base\n"), "MP631")


def test_every_fault_of_the_checkpoints_is_listed_at_once(mixture: Workshop) -> None:
    write_index(mixture.root / "gptq", {"a": "../x.safetensors"})
    file = mixture.root / "awq" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    (mixture.root / "int8" / "model.safetensors").rename(mixture.root / "int8" / "pytorch_model.bin")
    (mixture.root / "fp8" / "config.json").unlink()
    mixture.checkpoint("packed", vocab_size=7)
    plan = mixture.plan(f"{ALL}default: gptq\nrules: [{{targets: [nothing], source: model}}]\n")
    assert sorted(codes(plan)) == ["MP610", "MP611", "MP612", "MP613", "MP614", "MP620"]
    assert "mix.yaml:2:" in said(plan, "MP613") and "source 'gptq' cannot be used" in said(plan, "MP613")
    assert f"{mixture.root}/awq/model.safetensors" in said(plan, "MP611")
    assert not plan.valid


def test_a_base_that_cannot_be_opened_is_a_plan_without_layers(shop: Workshop) -> None:
    (shop.root / "base").mkdir()
    plan = shop.plan("model: base\n")
    assert not plan.valid and plan.layers == () and "config.json is missing" in said(plan, "MP610")


def test_nothing_but_headers_is_read(mixture: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data of every file may be garbage that never gets looked at."""
    first = mixture.plan(f"{ALL}default: awq\n")
    for file in mixture.root.glob("*/model.safetensors"):
        content = file.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        file.write_bytes(content[:start] + b"\xff" * (len(content) - start))
    assert mixture.plan(f"{ALL}default: awq\n") == first


def test_planning_writes_nothing(mixture: Workshop, cache: Path) -> None:
    before = sorted(mixture.root.rglob("*"))
    mixture.mix("x")
    before = sorted({*before, mixture.root / "mix.yaml"})
    mixture.plan(f"{ALL}default: awq\n")
    assert sorted(mixture.root.rglob("*")) == before and not cache.exists()
