"""A checkpoint whose config and tensors disagree is named module by module; one in a format of the future as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_runtime.records.plan import Plan
from tests.runtime import builders
from tests.runtime.builders import GROUP, Layout, Tensor, Tensors, Workshop, model_tensors, write_checkpoint

GPTQ: dict[str, Any] = {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False, "sym": True}


def planned(shop: Workshop, layout: Layout, config: dict[str, Any] | None) -> Plan:
    """All linear modules but the head from a source of that layout with that config."""
    shop.checkpoint("base")
    write_checkpoint(shop.root / "src", model_tensors(layout), quantization=config)
    return shop.plan("model: base\nsources: {src: {path: src}}\ndefault: src\nignore: [lm_head]\n")


def findings(plan: Plan, code: str) -> list[Finding]:
    return [finding for finding in plan.findings if finding.code == code]


def one(plan: Plan, code: str) -> Finding:
    (found,) = findings(plan, code)
    return found


def groups(form: str, weights: dict[str, Any], inputs: dict[str, Any] | None = None) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": {"g": group}, "ignore": ["lm_head"]}


CHANNEL = {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": True}
PACKED = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": GROUP, "symmetric": True}
DYNAMIC = {"num_bits": 8, "dynamic": True}


def without_order(out: int, inputs: int) -> Tensors:
    return {suffix: tensor for suffix, tensor in builders.gptq(out, inputs).items() if suffix != "g_idx"}


def with_zero_points(out: int, inputs: int) -> Tensors:
    return {**builders.packed(out, inputs), "weight_zero_point": Tensor("I32", (out // 8, inputs // GROUP))}


def static(out: int, inputs: int) -> Tensors:
    return {**builders.fp8(out, inputs), "input_scale": Tensor("F32", (1,))}


@pytest.mark.parametrize("layout, config, words", [
    (builders.gptq, {**GPTQ, "bits": 8}, "bits 8 in the config, 4 in the tensors"),
    (builders.gptq, {**GPTQ, "group_size": 128}, "group size 128 in the config, 16 in the tensors"),
    (builders.gptq, {**GPTQ, "group_size": -1}, "group size 32 in the config, 16 in the tensors"),
    (without_order, {**GPTQ, "desc_act": True}, "desc_act in the config, no g_idx in the tensors"),
    (builders.gptq, {"quant_method": "awq", "bits": 4, "group_size": GROUP}, "config says awq, tensors are gptq"),
    (builders.plain, GPTQ, "config says gptq, tensors are plain bf16"),
    (builders.gptq, None, "tensors gptq-int4-g16, config leaves it out by no quantization_config"),
    (builders.gptq, {**GPTQ, "dynamic": {"-:.*": {}}}, "tensors gptq-int4-g16, config leaves it out by dynamic"),
    (with_zero_points, groups("pack-quantized", PACKED), "symmetric yes in the config, no in the tensors"),
    (builders.packed, groups("pack-quantized", {**PACKED, "symmetric": False}), "symmetric no in the config, yes in the tensors"),
    (builders.packed, groups("pack-quantized", {**PACKED, "actorder": "group"}), "act-order yes in the config, no in the tensors"),
    (builders.fp8, groups("float-quantized", {**CHANNEL, "strategy": "tensor"}, DYNAMIC), "scales per tensor in the config, channel in the tensors"),
    (builders.fp8, groups("float-quantized", CHANNEL, {"num_bits": 8, "dynamic": False}), "static activations in the config, no input_scale in the tensors"),
])  # fmt: skip
def test_what_an_engine_would_read_otherwise_is_an_error(
    shop: Workshop, layout: Layout, config: dict[str, Any] | None, words: str
) -> None:
    found = one(planned(shop, layout, config), "MP634")
    assert found.severity is Severity.ERROR
    assert f"model.layers.0.mlp.up_proj: {words}" in "\n".join(found.evidence)
    assert len(found.evidence) == 14 or "group size 32" in words  # every linear module; the wider ones say 64


def test_a_scale_that_no_engine_asks_for_is_a_warning(shop: Workshop) -> None:
    plan = planned(shop, static, groups("float-quantized", CHANNEL, DYNAMIC))
    assert one(plan, "MP634").severity is Severity.WARNING and plan.valid


AGREEING: list[tuple[Layout, dict[str, Any] | None]] = [
    (builders.plain, None),
    (builders.gptq, GPTQ),
    (builders.gptq_with_bias, {"quant_method": "gptq", "bits": 4}),
    (builders.gptq, {"quant_method": "auto-round"}),
    (builders.awq, {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True}),
    (builders.packed, groups("pack-quantized", PACKED)),
    (with_zero_points, groups("pack-quantized", {**PACKED, "symmetric": False})),
    (builders.fp8, groups("float-quantized", CHANNEL, DYNAMIC)),
    (builders.fp8, groups("float-quantized", CHANNEL, None)),
    (static, groups("float-quantized", CHANNEL, {"num_bits": 8, "dynamic": False})),
    (builders.int8, groups("int-quantized", {**CHANNEL, "type": "int"}, DYNAMIC)),
]


@pytest.mark.parametrize("layout, config", AGREEING)
def test_a_checkpoint_that_agrees_with_itself_is_quiet(
    shop: Workshop, layout: Callable[[int, int], Tensors], config: dict[str, Any] | None
) -> None:
    assert [finding.code for finding in planned(shop, layout, config).findings] == []


def nvfp4(out: int, inputs: int) -> Tensors:
    return {
        "weight_packed": Tensor("U8", (out, inputs // 2)), "weight_scale": Tensor("F8_E4M3", (out, inputs // 16)),
        "weight_global_scale": Tensor("F32", (1,)),
    }  # fmt: skip


def modelopt(out: int, inputs: int) -> Tensors:
    return {
        "weight": Tensor("U8", (out, inputs // 2)), "weight_scale": Tensor("F8_E4M3", (out, inputs // 16)),
        "weight_scale_2": Tensor("F32", ()), "input_scale": Tensor("F32", ()),
    }  # fmt: skip


def mxfp4(out: int, inputs: int) -> Tensors:
    return {"weight_packed": Tensor("U8", (out, inputs // 2)), "weight_scale": Tensor("U8", (out, inputs // 32))}


def gemv(out: int, inputs: int) -> Tensors:
    return {
        "qweight": Tensor("I32", (out, inputs // 8)), "qzeros": Tensor("I32", (out, 1)), "scales": Tensor("F16", (out, 8)),
    }  # fmt: skip


FLOAT4 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}


@pytest.mark.parametrize("layout, config, name", [
    (nvfp4, groups("nvfp4-pack-quantized", FLOAT4), "nvfp4"),
    (modelopt, {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}, "nvfp4"),
    (mxfp4, groups("mxfp4-pack-quantized", {**FLOAT4, "group_size": 32}), "mxfp4"),
    (gemv, {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemv"}, "awq-int4-g16 in the variant gemv"),
])  # fmt: skip
def test_a_known_format_that_nothing_serves_is_named(
    shop: Workshop, layout: Layout, config: dict[str, Any], name: str
) -> None:
    plan = planned(shop, layout, config)
    found = one(plan, "MP635")
    assert f"holds {name}, which mixprec cannot serve yet (14)" in found.summary
    assert [finding.code for finding in plan.findings] == ["MP635"]
