"""Parts of a fused unit come from several checkpoints where these are of one scheme, and from one everywhere else."""

from __future__ import annotations

import struct

import pytest

from mixprec_doctor.records.finding import Finding
from mixprec_runtime.planning.fusing import shared_units
from mixprec_runtime.records.plan import Plan
from tests.runtime.builders import (
    GROUP,
    LAYERS,
    LAYOUTS,
    Layout,
    Tensor,
    Tensors,
    Workshop,
    awq,
    compressed_tensors,
    fp8,
    gptq,
    model_tensors,
    plain,
    write_checkpoint,
)

SPLIT = "default: one\nrules: [{targets: ['re:.*k_proj'], source: other}]\nignore: [lm_head]\n"
GPTQ = LAYOUTS["gptq"][1] or {}


def ordered(order: list[int]) -> Layout:
    """GPTQ with act-order, the inputs in that order (repeated to the width of the layer)."""

    def layout(out: int, inputs: int) -> Tensors:
        groups = [order[at % len(order)] % (inputs // GROUP) for at in range(inputs)]
        return {**gptq(out, inputs), "g_idx": Tensor("I32", (inputs,), struct.pack(f"<{inputs}i", *groups))}

    return layout


def coarse(out: int, inputs: int) -> Tensors:
    """GPTQ with groups twice as long."""
    made = gptq(out, inputs)
    for name in ("qzeros", "scales"):
        made[name] = Tensor(made[name].dtype, (made[name].shape[0] // 2, made[name].shape[1]))
    return made


def per_tensor(out: int, inputs: int) -> Tensors:
    return {"weight": Tensor("F8_E4M3", (out, inputs)), "weight_scale": Tensor("F32", ())}


def plan(shop: Workshop, one: tuple[Layout, object], other: tuple[Layout, object], rules: str = SPLIT) -> Plan:
    write_checkpoint(shop.root / "base", model_tensors())
    for name, (layout, quantization) in {"one": one, "other": other}.items():
        write_checkpoint(shop.root / name, model_tensors(layout), quantization=quantization)  # type: ignore[arg-type]
    return shop.plan(f"model: base\nsources: {{one: {{path: one}}, other: {{path: other}}}}\n{rules}")


def refusal(plan: Plan) -> Finding:
    assert not plan.valid
    (finding,) = [finding for finding in plan.findings if finding.code == "MP622"]
    return finding


@pytest.mark.parametrize("layout, quantization", [
    (gptq, GPTQ),
    (ordered([1, 0]), {**GPTQ, "desc_act": True}),
    (per_tensor, {"quant_method": "fp8", "activation_scheme": "dynamic"}),
    (plain, None),
    *(LAYOUTS[name] for name in ("awq", "int8", "fp8", "packed")),
], ids=lambda value: None if isinstance(value, dict) else getattr(value, "__name__", ""))  # fmt: skip
def test_parts_of_one_scheme_may_come_from_several_checkpoints(
    shop: Workshop, layout: Layout, quantization: object
) -> None:
    made = plan(shop, (layout, quantization), (layout, quantization))
    assert made.valid, made.findings
    at = "model.layers.0.self_attn"
    found = {layer.layer: layer.source for layer in made.layers}
    assert (found[f"{at}.q_proj"], found[f"{at}.k_proj"], found[f"{at}.v_proj"]) == ("one", "other", "one")
    shared = shared_units(made.layers)
    assert len(shared) == 3 * LAYERS and shared[f"{at}.v_proj"] == f"{at}.qkv_proj"


@pytest.mark.parametrize("other, words", [
    ((coarse, {**GPTQ, "group_size": 2 * GROUP}), "q_proj is gptq-int4-g16, k_proj is gptq-int4-g32"),
    (LAYOUTS["awq"], "q_proj is gptq-int4-g16, k_proj is awq-int4-g16"),
    ((gptq, {**GPTQ, "sym": False}), "k_proj is gptq-int4-g16 (asymmetric)"),
    ((plain, None), "k_proj is bf16"),
])  # fmt: skip
def test_parts_of_two_schemes_are_refused_with_what_differs(
    shop: Workshop, other: tuple[Layout, object], words: str
) -> None:
    finding = refusal(plan(shop, (gptq, GPTQ), other))
    assert words in finding.summary and "not of one scheme" in finding.summary
    text = "\n".join(finding.evidence)
    assert f"self_attn.k_proj: the rule at {shop.root}/mix.yaml:4:9 (source other)" in text
    assert "self_attn.q_proj: default (source one): gptq-int4-g16" in text
    assert finding.remedy and "'re:.*\\.self_attn.(q_proj|k_proj|v_proj)$'" in finding.remedy.text


def test_parts_whose_inputs_are_ordered_differently_are_refused(shop: Workshop) -> None:
    config = {**GPTQ, "desc_act": True}
    finding = refusal(plan(shop, (ordered([1, 0]), config), (ordered([0, 1]), config)))
    assert "an order of its own (act-order)" in finding.summary


def test_one_format_of_two_methods_is_two_schemes(shop: Workshop) -> None:
    other = {"quant_method": "fbgemm_fp8", "activation_scheme": "dynamic"}
    one = {**compressed_tensors("float-quantized", 8)}
    finding = refusal(plan(shop, (fp8, one), (fp8, other)))
    assert "'compressed-tensors', of the other 'fbgemm_fp8'" in finding.summary


def test_tensors_that_only_one_part_has_make_two_schemes(shop: Workshop) -> None:
    def unordered(out: int, inputs: int) -> Tensors:
        return {name: tensor for name, tensor in gptq(out, inputs).items() if name != "g_idx"}

    finding = refusal(plan(shop, (gptq, GPTQ), (unordered, GPTQ)))
    assert "only one of q_proj and k_proj has g_idx" in finding.summary


def test_a_config_that_leaves_out_the_part_of_another_source_cannot_serve_the_unit(shop: Workshop) -> None:
    leaving = {**compressed_tensors("float-quantized", 8), "ignore": ["lm_head", "re:.*k_proj"]}
    finding = refusal(plan(shop, (fp8, leaving), LAYOUTS["fp8"]))
    assert "the config of source 'one', by which the engine reads the unit, leaves a part of it out" in finding.summary


def test_bits_and_tensors_decide_for_gate_and_up_as_well(shop: Workshop) -> None:
    rules = "default: one\nrules: [{targets: ['re:.*up_proj'], source: other}]\nignore: [lm_head]\n"
    assert plan(shop, (awq, LAYOUTS["awq"][1]), LAYOUTS["awq"], rules).valid
    finding = refusal(plan(shop, (awq, LAYOUTS["awq"][1]), (gptq, GPTQ), rules))
    assert "gate_proj is awq-int4-g16" in finding.summary and "(gate_proj|up_proj)" in str(finding.remedy)
