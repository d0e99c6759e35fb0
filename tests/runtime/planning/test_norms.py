"""Norms come from where the layers behind them come from, as soon as a source's norms are not the base's."""

from __future__ import annotations

import struct

import pytest

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_runtime.planning.neighbours import norms_of
from mixprec_runtime.records.plan import Plan
from tests.runtime.builders import HIDDEN, LAYERS, Tensor, Tensors, Workshop, awq, gptq, model_tensors, plain

SOURCES = "model: base\nsources: {awq: {path: awq}, gptq: {path: gptq}}\n"
NUMBERS = [1.0 + at / 16 for at in range(HIDDEN)]
NORMS = ("input_layernorm", "post_attention_layernorm")


def bf16(values: list[float]) -> Tensor:
    return Tensor("BF16", (len(values),), b"".join(struct.pack("<f", value)[2:] for value in values))


def f16(values: list[float]) -> Tensor:
    return Tensor("F16", (len(values),), struct.pack(f"<{len(values)}e", *values))


def norms(tensor: Tensor, *names: str) -> Tensors:
    """That tensor as each of the norms of all layers."""
    return {f"model.layers.{at}.{name}.weight": tensor for at in range(LAYERS) for name in names}


def smoothed(*names: str) -> Tensors:
    return norms(bf16([1 / value for value in NUMBERS]), *names)


@pytest.fixture
def mixture(shop: Workshop) -> Workshop:
    """An AWQ checkpoint with scales in both norms of each layer; GPTQ has the base's norms."""
    base = norms(bf16(NUMBERS), *NORMS)
    shop.checkpoint("base", {**model_tensors(), **base})
    shop.checkpoint("gptq", {**model_tensors(gptq), **base})
    shop.checkpoint("awq", {**model_tensors(awq), **base, **smoothed(*NORMS)})
    return shop


def found(plan: Plan) -> list[Finding]:
    return [finding for finding in plan.findings if finding.code == "MP636"]


def source_of(plan: Plan, module: str) -> str:
    (source,) = [layer.source for layer in plan.layers if layer.layer == module]
    return source


def test_norms_follow_the_layers_behind_them(mixture: Workshop) -> None:
    plan = mixture.plan(f"{SOURCES}default: gptq\nrules: [{{targets: ['re:.*(gate|up|down)_proj$'], source: awq}}]\n")
    assert plan.valid
    assert source_of(plan, "model.layers.0.input_layernorm") == "model"
    assert source_of(plan, "model.layers.1.post_attention_layernorm") == "awq"
    (finding,) = found(plan)
    assert finding.severity is Severity.INFO
    assert "norms come from source 'awq' with the layers behind them (2)" in finding.summary
    assert finding.evidence == tuple(f"model.layers.{at}.post_attention_layernorm" for at in range(LAYERS))
    used = {tensor.file.parent.name for layer in plan.layers for tensor in layer.tensors if "post_att" in tensor.name}
    assert used == {"awq"}


def test_norms_like_the_base_s_stay_the_base_s(mixture: Workshop) -> None:
    plan = mixture.plan(f"{SOURCES}default: gptq\nignore: [lm_head]\n")
    assert plan.valid and not found(plan)
    assert source_of(plan, "model.layers.0.input_layernorm") == "model"


@pytest.mark.parametrize("values, follows", [(NUMBERS, False), ([*NUMBERS[:-1], NUMBERS[-1] * 1.02], True)])
def test_the_same_numbers_in_another_type_are_the_same_norm(
    mixture: Workshop, values: list[float], follows: bool
) -> None:
    base = norms(bf16(NUMBERS), *NORMS)
    mixture.checkpoint("awq", {**model_tensors(awq), **base, **norms(f16(values), *NORMS)})
    plan = mixture.plan(f"{SOURCES}default: awq\nignore: [lm_head]\n")
    assert bool(found(plan)) is follows
    assert source_of(plan, "model.layers.0.input_layernorm") == ("awq" if follows else "model")


def test_readers_that_need_different_norms_are_refused_with_their_rules(mixture: Workshop) -> None:
    """In blocks whose attention and feed-forward part read one norm."""
    kept = {"base": NUMBERS, "awq": [1 / value for value in NUMBERS], "gptq": NUMBERS[::-1]}
    for name, layout in (("base", plain), ("awq", awq), ("gptq", gptq)):
        tensors = {full: tensor for full, tensor in model_tensors(layout).items() if "post_attention" not in full}
        mixture.checkpoint(name, {**tensors, **norms(bf16(kept[name]), "input_layernorm")})
    rules = "rules: [{targets: ['re:.*self_attn.*'], source: awq}]\nignore: [lm_head]\n"
    plan = mixture.plan(f"{SOURCES}default: gptq\n{rules}")
    assert not plan.valid
    (finding,) = found(plan)
    assert finding.severity is Severity.ERROR
    assert "the layers behind model.layers.0.input_layernorm, and 1 norms like it come from sources" in finding.summary
    text = "\n".join(finding.evidence)
    assert f"self_attn.q_proj: the rule at {mixture.root}/mix.yaml:4:9 (source awq)" in text
    assert "mlp.gate_proj: default (source gptq)" in text and "likewise model.layers.1.input_layernorm" in text
    assert finding.remedy and "(q_proj|k_proj|v_proj|gate_proj|up_proj)$" in finding.remedy.text


def test_a_norm_that_ignore_keeps_from_its_layers_is_refused(mixture: Workshop) -> None:
    plan = mixture.plan(f"{SOURCES}default: awq\nignore: [lm_head, 're:.*input_layernorm']\n")
    (finding,) = [finding for finding in found(plan) if finding.severity is Severity.ERROR]
    assert "model.layers.0.input_layernorm: ignore (source model)" in finding.evidence
    assert finding.remedy and "it then comes from source 'awq'" in finding.remedy.text


def test_a_rule_for_norms_alone_is_believed_with_a_warning(mixture: Workshop) -> None:
    plan = mixture.plan(f"{SOURCES}default: awq\nrules: [{{targets: ['re:.*input_layernorm'], source: gptq}}]\n")
    assert plan.valid
    assert source_of(plan, "model.layers.0.input_layernorm") == "gptq"
    assert {finding.severity for finding in found(plan)} == {Severity.WARNING, Severity.INFO}


def test_the_last_norm_goes_with_the_output_head(mixture: Workshop) -> None:
    scaled = {"model.norm.weight": bf16(NUMBERS[::-1])}
    mixture.checkpoint("awq", {**model_tensors(awq), **norms(bf16(NUMBERS), *NORMS), **scaled})
    assert source_of(mixture.plan(f"{SOURCES}default: awq\n"), "model.norm") == "awq"
    assert source_of(mixture.plan(f"{SOURCES}default: awq\nignore: [lm_head]\n"), "model.norm") == "model"


ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
BLOCKS = {
    "llama": (
        {"input_layernorm": ATTENTION, "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj")},
        (*ATTENTION, "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    ),
    "gemma, with norms behind": (
        {
            "input_layernorm": ATTENTION, "post_attention_layernorm": ("self_attn.o_proj",),
            "pre_feedforward_layernorm": ("mlp.gate_proj",), "post_feedforward_layernorm": ("mlp.down_proj",),
        },
        (*ATTENTION, "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"),
    ),
    "qwen3, with norms inside": (
        {
            "input_layernorm": ATTENTION, "self_attn.q_norm": ("self_attn.q_proj",),
            "self_attn.k_norm": ("self_attn.k_proj",), "post_attention_layernorm": ("mlp.gate_proj",),
        },
        (*ATTENTION, "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"),
    ),
    "phi, both in parallel": (
        {"input_layernorm": (*ATTENTION, "mlp.fc1")},
        (*ATTENTION, "self_attn.dense", "mlp.fc1", "mlp.fc2"),
    ),
    "phi3, stored fused": (
        {"input_layernorm": ("self_attn.qkv_proj",), "post_attention_layernorm": ("mlp.gate_up_proj",)},
        ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"),
    ),
    "a mixture of experts": (
        {"post_attention_layernorm": ("mlp.gate", "mlp.experts.0.gate_proj", "mlp.experts.1.gate_proj")},
        ("self_attn.o_proj", "mlp.gate", "mlp.experts.0.gate_proj", "mlp.experts.1.gate_proj", "mlp.experts.1.down_proj"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("expected, linear", BLOCKS.values(), ids=list(BLOCKS))
def test_partners_of_norms_are_known_by_their_names(
    expected: dict[str, tuple[str, ...]], linear: tuple[str, ...]
) -> None:
    modules = [f"model.layers.7.{name}" for name in (*expected, *linear)]
    got = {norm.module: norm.partners for norm in norms_of([*modules, "model.norm", "lm_head"])}
    assert got.pop("model.norm") == ("lm_head",)
    at = "model.layers.7."
    assert got == {at + norm: tuple(at + part for part in parts) for norm, parts in expected.items()}
