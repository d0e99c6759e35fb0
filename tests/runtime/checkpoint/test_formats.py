"""Formats are judged by the tensors that are there; what makes no layout is refused with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_doctor.records.format import Activation
from mixprec_runtime.checkpoint.formats import COMPANIONS, MalformedModule, ModuleWeights, read_module
from mixprec_runtime.records.checkpoint import DTYPE_BITS, TensorHeader
from tests.runtime import builders
from tests.runtime.builders import Layout, Tensor

OUT, IN = 32, 64


def headers(tensors: Mapping[str, Tensor]) -> dict[str, TensorHeader]:
    return {
        suffix: TensorHeader(
            name=f"m.{suffix}", dtype=t.dtype, shape=t.shape, file=Path("f"), begin=0, end=len(t.content)
        )
        for suffix, t in tensors.items()
    }


def judged(tensors: Mapping[str, Tensor], quantization: Mapping[str, object] | None = None) -> ModuleWeights:
    found = read_module(headers(tensors), quantization)
    assert isinstance(found, ModuleWeights), found
    return found


def reason(tensors: Mapping[str, Tensor], quantization: Mapping[str, object] | None = None) -> str:
    found = read_module(headers(tensors), quantization)
    assert isinstance(found, MalformedModule), found
    return found.reason


def matrix(dtype: str, scale: tuple[int, ...] | None = None, name: str = "weight_scale") -> dict[str, Tensor]:
    found = {"weight": Tensor(dtype, (OUT, IN))}
    return found if scale is None else {**found, name: Tensor("F32", scale)}


@pytest.mark.parametrize("layout, name", [
    (builders.plain, "bf16"),
    (builders.gptq, "gptq-int4-g16"),
    (builders.gptq_with_bias, "gptq-int4-g16"),
    (builders.awq, "awq-int4-g16"),
    (builders.int8, "int8-channel"),
    (builders.fp8, "fp8-channel"),
    (builders.packed, "packed-int4-g16"),
])  # fmt: skip
def test_every_layout_is_known_and_has_its_plain_shape(layout: Layout, name: str) -> None:
    found = judged(layout(OUT, IN))
    assert (found.format.name, found.shape) == (name, (OUT, IN))


@pytest.mark.parametrize("scale, form", [
    (None, "tensor"), ((), "tensor"), ((1,), "tensor"), ((1, 1), "tensor"), ((OUT,), "channel"), ((OUT, 1), "channel"),
    ((1, 2), "block"),
])  # fmt: skip
def test_the_scale_of_fp8_says_its_granularity(scale: tuple[int, ...] | None, form: str) -> None:
    assert judged(matrix("F8_E4M3", scale)).format.scale == form


def test_a_block_scale_of_fine_grained_fp8_is_known() -> None:
    assert judged(matrix("F8_E4M3", (1, 1), "weight_scale_inv")).format.scale == "tensor"
    assert judged(matrix("F8_E4M3", (2, 4), "weight_scale_inv")).format.name == "fp8-block"


def test_blocks_of_int8_are_known_by_either_name_of_their_scales() -> None:
    for name in ("weight_scale", "weight_scale_inv"):
        found = judged({"weight": Tensor("I8", (256, 384)), name: Tensor("F32", (2, 3))}).format
        assert (found.name, found.block) == ("int8-block", (128, 128))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gptq_bits_follow_from_the_shapes(bits: int) -> None:
    tensors = {
        "qweight": Tensor("I32", (IN * bits // 32, OUT)),
        "qzeros": Tensor("I32", (2, OUT * bits // 32)),
        "scales": Tensor("F16", (2, OUT)),
    }
    found = judged(tensors)
    assert (found.format.bits, found.format.group, found.shape) == (bits, IN // 2, (OUT, IN))


def test_gptq_of_one_group_has_the_whole_input_in_it() -> None:
    tensors = {
        "qweight": Tensor("I32", (IN // 8, OUT)),
        "qzeros": Tensor("I32", (1, OUT // 8)),
        "scales": Tensor("F16", (1, OUT)),
    }
    assert judged(tensors).format.group == IN


def test_bits_are_those_of_the_tensors_whatever_the_config_says() -> None:
    assert judged(builders.gptq(OUT, IN), {"quant_method": "gptq", "bits": 8}).format.bits == 4


@pytest.mark.parametrize("layout", [builders.gptq, builders.awq, builders.packed, builders.int8])
def test_a_tensor_that_a_layout_needs_is_missed_by_name(layout: Layout) -> None:
    whole = layout(OUT, IN)
    for suffix in whole.keys() - {"g_idx", "qweight", "weight", "weight_packed"}:
        text = reason({name: t for name, t in whole.items() if name != suffix}, {"quant_method": "gptq"})
        assert suffix in text or "make no known layout" in text


@pytest.mark.parametrize("layout", [builders.plain, builders.gptq, builders.awq, builders.int8, builders.fp8])
def test_a_tensor_of_another_layout_is_unknown(layout: Layout) -> None:
    text = reason({**layout(OUT, IN), "weight_shape": Tensor("I64", (2,))})
    assert "has no tensor weight_shape" in text


@pytest.mark.parametrize("suffix, shape, words", [
    ("qzeros", (4, 5), "do not fit"),
    ("qzeros", (3, OUT // 8), "do not fit"),
    ("qzeros", (OUT // 8,), "do not fit"),
    ("qzeros", (), "do not fit"),
    ("qzeros", (4, OUT // 8, 1), "do not fit"),
    ("g_idx", (IN + 1,), "one entry per input feature"),
    ("g_idx", (IN, 1), "one entry per input feature"),
    ("scales", (0, OUT), "do not fit"),
    ("scales", (OUT,), "make no known layout"),
    ("qweight", (IN // 8,), "make no known layout"),
])  # fmt: skip
def test_gptq_tensors_that_do_not_fit_each_other(suffix: str, shape: tuple[int, ...], words: str) -> None:
    assert words in reason({**builders.gptq(OUT, IN), suffix: Tensor("I32", shape)})


@pytest.mark.parametrize(
    "suffix, shape", [("qweight", (IN // 8,)), ("scales", (OUT,)), ("qweight", ()), ("scales", ())]
)
def test_misshapen_gptq_is_refused_where_its_config_says_gptq(suffix: str, shape: tuple[int, ...]) -> None:
    tensors = {**builders.gptq(OUT, IN), suffix: Tensor("I32", shape)}
    assert "do not fit" in reason(tensors, {"quant_method": "gptq", "bits": 4})


@pytest.mark.parametrize("suffix, shape", [
    ("qzeros", (4, 3)), ("qzeros", (4,)), ("qweight", (IN, 5)), ("qweight", (IN + 1, 4)), ("scales", (0, OUT)),
    ("scales", (3, OUT)),
])  # fmt: skip
def test_awq_tensors_that_do_not_fit_each_other(suffix: str, shape: tuple[int, ...]) -> None:
    tensors = {**builders.awq(OUT, IN), suffix: Tensor("I32" if suffix != "scales" else "F16", shape)}
    assert "do not" in reason(tensors)


def test_packed_bits_are_those_of_the_config() -> None:
    tensors = {
        "weight_packed": Tensor("I32", (OUT, IN // 4)),
        "weight_scale": Tensor("BF16", (OUT, 1)),
        "weight_shape": Tensor("I64", (2,)),
    }
    found = judged(tensors, builders.compressed_tensors("pack-quantized", 8))
    assert (found.format.bits, found.format.group, found.shape) == (8, None, (OUT, IN))


@pytest.mark.parametrize("suffix, tensor", [
    ("weight_packed", Tensor("I32", (OUT,))), ("weight_packed", Tensor("I8", (OUT, 8))),
    ("weight_scale", Tensor("BF16", (OUT + 1, 4))), ("weight_scale", Tensor("BF16", (OUT, 7))),
    ("weight_scale", Tensor("BF16", (OUT,))), ("weight_scale", Tensor("BF16", (OUT, 0))),
])  # fmt: skip
def test_packed_tensors_that_do_not_fit_each_other(suffix: str, tensor: Tensor) -> None:
    reason({**builders.packed(OUT, IN), suffix: tensor})


@pytest.mark.parametrize("bits", [4.0, "4", None, [4], True, 3])
def test_odd_bits_in_a_config_are_no_reason_to_stumble(bits: object) -> None:
    config = {"config_groups": {"g": {"weights": {"num_bits": bits}}, "h": None}}
    found = judged(builders.packed(OUT, IN), config)
    assert found.shape == (OUT, IN) and all(type(extent) is int for extent in found.shape)


@pytest.mark.parametrize("weight", ["F8_E4M3", "I8"])
def test_a_scale_that_fits_no_weight_is_refused(weight: str) -> None:
    assert "neither per tensor, channel nor block" in reason(matrix(weight, (OUT + 1,)))
    assert "neither per tensor, channel nor block" in reason(matrix(weight, (OUT + 1, IN)))
    assert "neither per tensor, channel nor block" in reason(matrix(weight, (0,)))
    scalar = {"weight": Tensor(weight, ()), "weight_scale": Tensor("F32", (3,))}
    assert "neither per tensor, channel nor block" in reason(scalar)


@pytest.mark.parametrize("dtype", ["I64", "BOOL", "U8", "F4", "I32"])
def test_a_weight_of_an_unknown_type_is_refused(dtype: str) -> None:
    assert "make no known layout" in reason(matrix(dtype))


def test_lone_parameters_are_plain() -> None:
    found = judged({"A_log": Tensor("F32", (8,)), "D": Tensor("F32", (8,))})
    assert (found.format.name, found.shape) == ("f32", (8,))


def test_a_scale_without_its_weight_is_no_module() -> None:
    assert "make no known layout" in reason({"weight_scale": Tensor("F32", (OUT, 1))})


suffixes = sorted({"weight", "D", *(name for names in COMPANIONS.values() for name in names)})
any_tensors = st.dictionaries(
    st.sampled_from(suffixes),
    st.builds(
        Tensor,
        st.sampled_from(["I32", "I8", "BF16", "F8_E4M3", *DTYPE_BITS]),
        st.lists(st.sampled_from([0, 1, 2, 4, 8, 16, 32, 64]), max_size=3).map(tuple),
        st.just(b""),
    ),
    min_size=1,
    max_size=6,
)
values: Any = st.none() | st.booleans() | st.integers(0, 9) | st.floats(0, 8) | st.text(max_size=3)
any_configs = st.none() | st.dictionaries(
    st.sampled_from(["quant_method", "bits", "dynamic", "config_groups"]),
    values | st.just("gptq") | st.dictionaries(values, values | st.dictionaries(st.just("weights"), values)),
)


@settings(max_examples=300, deadline=None)
@given(any_tensors, any_configs)
def test_any_tensors_are_judged_one_way_or_the_other(
    tensors: dict[str, Tensor], quantization: dict[str, object] | None
) -> None:
    found = read_module(headers(tensors), quantization)
    assert isinstance(found, ModuleWeights) or found.reason


def test_what_tensors_leave_open_is_taken_from_the_config() -> None:
    ordered = {"quant_method": "gptq", "bits": 4, "sym": False, "desc_act": True}
    found = judged(builders.gptq(OUT, IN), ordered).format
    assert (found.symmetric, found.act_order) == (False, True)
    assert judged(builders.gptq(OUT, IN)).format.symmetric is None
    assert judged(builders.awq(OUT, IN)).format.symmetric is False


def test_activations_are_static_only_with_their_scale() -> None:
    static = {**matrix("F8_E4M3", ()), "input_scale": Tensor("F32", ())}
    assert judged(static).format.activation is Activation.STATIC
    config = {"quant_method": "fp8", "activation_scheme": "static"}
    assert judged(static, config).format.activation is Activation.STATIC
    assert judged(matrix("F8_E4M3", ()), config).format.activation is Activation.DYNAMIC
    weights_only = builders.compressed_tensors("float-quantized", 8)
    weights_only["config_groups"]["group_0"]["input_activations"] = None  # type: ignore[index]
    assert judged(builders.fp8(OUT, IN), weights_only).format.activation is Activation.NONE


@pytest.mark.parametrize("weight, scale, stated, block", [
    ((512, 384), (4, 3), None, (128, 128)),
    ((500, 300), (4, 3), None, (128, 128)),
    ((512, 384), (8, 6), None, (64, 64)),
    ((512, 384), (8, 6), [64, 64], (64, 64)),
    ((64, 100), (1, 1), [128, 128], (128, 128)),
])  # fmt: skip
def test_the_size_of_blocks_is_the_config_s_or_follows_from_the_shapes(
    weight: tuple[int, int], scale: tuple[int, int], stated: list[int] | None, block: tuple[int, int]
) -> None:
    tensors = {"weight": Tensor("F8_E4M3", weight), "weight_scale_inv": Tensor("F32", scale)}
    found = judged(tensors, {"quant_method": "fp8", "weight_block_size": stated}).format
    assert (found.scale, found.block) == ("block", block)


def test_experts_of_gpt_oss_are_known() -> None:
    tensors = {
        "gate_up_proj_blocks": Tensor("U8", (2, 64, 3, 16)), "gate_up_proj_scales": Tensor("U8", (2, 64, 3)),
        "gate_up_proj_bias": Tensor("BF16", (2, 64)),
    }  # fmt: skip
    found = judged(tensors)
    assert (found.format.name, found.format.group, found.shape) == ("mxfp4", 32, (2, 64, 96))
    assert "do not fit" in reason({**tensors, "gate_up_proj_scales": Tensor("U8", (2, 64))})
