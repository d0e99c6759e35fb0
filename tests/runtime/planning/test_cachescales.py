"""Scales of the key-value cache come from the source of keys and values, for a cache in FP8 and never otherwise."""

from __future__ import annotations

import json

import pytest

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_runtime.planning.cachescales import is_cache_scale
from mixprec_runtime.records.plan import Plan
from mixprec_runtime.runfolder import write_run_folder
from tests.runtime.builders import LAYERS, LAYOUTS, Tensor, Tensors, Workshop, fp8, model_tensors, plain

MIX = "model: base\nsources: {fp8: {path: fp8}, gptq: {path: gptq}}\ndefault: fp8\nignore: [lm_head]\n"
SERVED = MIX + "serve: {kv_cache_dtype: fp8}\n"
STYLES = {
    "beside the attention": ("{0}.k_scale", "{0}.v_scale"),
    "beside the projections": ("{0}.k_proj.k_scale", "{0}.v_proj.v_scale"),
    "inside the attention": ("{0}.attn.k_scale", "{0}.attn.v_scale", "{0}.attn.q_scale", "{0}.attn.prob_scale"),
    "as outputs": ("{0}.k_proj.output_scale", "{0}.v_proj.output_scale"),
    "one for both": ("{0}.kv_scale",),
}


def scales(style: tuple[str, ...], shape: tuple[int, ...] = ()) -> Tensors:
    at = [f"model.layers.{layer}.self_attn" for layer in range(LAYERS)]
    return {name.format(attention): Tensor("F32", shape) for attention in at for name in style}


@pytest.fixture
def mixture(shop: Workshop) -> Workshop:
    shop.checkpoint("base")
    shop.checkpoint("gptq")
    shop.checkpoint("fp8", {**model_tensors(fp8), **scales(STYLES["beside the attention"])})
    return shop


def found(plan: Plan) -> list[Finding]:
    return [finding for finding in plan.findings if finding.code == "MP639"]


def planned(plan: Plan) -> list[str]:
    return sorted(t.name for layer in plan.layers for t in layer.tensors if is_cache_scale(t.name))


@pytest.mark.parametrize("style", STYLES.values(), ids=list(STYLES))
def test_they_come_with_keys_and_values_for_a_cache_in_fp8(mixture: Workshop, style: tuple[str, ...]) -> None:
    mixture.checkpoint("fp8", {**model_tensors(fp8), **scales(style)})
    plan = mixture.plan(SERVED)
    assert plan.valid and not found(plan), plan.findings
    assert planned(plan) == sorted(scales(style))
    owners = {layer.layer: layer.source for layer in plan.layers if not layer.shape}
    assert owners == {f"model.layers.{at}.self_attn": "fp8" for at in range(LAYERS)}
    assert plan.totals.bf16_bytes == mixture.plan(MIX).totals.bf16_bytes


@pytest.mark.parametrize("style", STYLES.values(), ids=list(STYLES))
@pytest.mark.parametrize("kind", ["auto", "fp8_e5m2", "bfloat16"])
def test_they_are_left_out_with_a_note_for_any_other_cache(
    mixture: Workshop, style: tuple[str, ...], kind: str
) -> None:
    mixture.checkpoint("fp8", {**model_tensors(fp8), **scales(style)})
    plan = mixture.plan(f"{MIX}serve: {{kv_cache_dtype: {kind}}}\n")
    assert plan.valid and not planned(plan)
    (finding,) = found(plan)
    assert finding.severity is Severity.INFO and f"in source 'fp8' are left out ({LAYERS})" in finding.summary


def test_those_of_another_source_than_keys_and_values_are_not_spoken_of(mixture: Workshop) -> None:
    plan = mixture.plan(SERVED.replace("default: fp8", "default: gptq"))
    assert plan.valid and not planned(plan) and not found(plan)


def test_attentions_without_scales_are_told(mixture: Workshop) -> None:
    rules = "rules: [{targets: ['re:.*layers\\.1\\.self_attn.*'], source: gptq}]\n"
    plan = mixture.plan(SERVED + rules)
    assert plan.valid and len(planned(plan)) == 2
    (finding,) = found(plan)
    assert finding.severity is Severity.INFO and finding.evidence == ("model.layers.1.self_attn",)


def test_keys_and_values_of_two_sources_have_no_scales_in_common(mixture: Workshop) -> None:
    mixture.checkpoint("gptq", {**model_tensors(fp8)})
    layout = LAYOUTS["fp8"][1]
    config = json.loads((mixture.root / "gptq" / "config.json").read_text())
    (mixture.root / "gptq" / "config.json").write_text(json.dumps({**config, "quantization_config": layout}))
    rules = "rules: [{targets: ['re:.*v_proj'], source: gptq}]\n"
    plan = mixture.plan(SERVED + rules)
    (finding,) = found(plan)
    assert finding.severity is Severity.ERROR and "keys from fp8, values from gptq" in finding.evidence[0]
    assert mixture.plan(MIX + rules).valid


def test_a_scale_for_each_head_is_refused(mixture: Workshop) -> None:
    mixture.checkpoint("fp8", {**model_tensors(fp8), **scales(STYLES["beside the attention"], (2, 1, 1))})
    (finding,) = found(mixture.plan(SERVED))
    assert finding.severity is Severity.ERROR and "single heads" in finding.summary


def test_zero_points_are_never_planned(mixture: Workshop) -> None:
    tensors = {**model_tensors(fp8), **scales(("{0}.k_zero_point", "{0}.v_zero_point"))}
    mixture.checkpoint("fp8", tensors)
    plan = mixture.plan(SERVED)
    assert plan.valid and not planned(plan)


def test_a_base_with_scales_has_no_module_of_them(shop: Workshop) -> None:
    shop.checkpoint("base", {**model_tensors(plain), **scales(STYLES["beside the attention"])})
    plan = shop.plan("model: base\n")
    assert plan.valid and not planned(plan)
    assert planned(shop.plan("model: base\nserve: {kv-cache-dtype: fp8}\n")) == sorted(
        scales(STYLES["beside the attention"])
    )


def test_the_engine_is_told_which_attentions_have_scales(mixture: Workshop) -> None:
    folder = write_run_folder(mixture.plan(SERVED), root=mixture.root / "runs")
    told = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert told["cache_scales"] == [f"model.layers.{at}.self_attn" for at in range(LAYERS)]
    assert {told["modules"][name] for name in told["cache_scales"]} == {"fp8"}


@pytest.mark.parametrize("name", ["model.layers.0.mlp.down_proj.weight_scale", "model.layers.0.self_attn.o_proj.scales",
                                  "model.layers.0.self_attn.k_proj.input_scale", "a.o_proj.output_scale"])  # fmt: skip
def test_scales_of_weights_are_none_of_the_cache(name: str) -> None:
    assert not is_cache_scale(name)
