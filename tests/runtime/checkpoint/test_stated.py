"""What a quantization config says of a module, in the words of every tool that writes one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_doctor.records.format import Activation, FormatKind
from mixprec_runtime.checkpoint.stated import ALL_INPUTS, StatedFormat, StatedPlain, Unstated, stated_format

UP = "model.layers.3.mlp.up_proj"
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm"}
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
WEIGHTS = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 128}
TOKENS = {"num_bits": 8, "type": "float", "dynamic": True, "strategy": "token"}


def groups(*, form: str = "pack-quantized", ignore: list[str] | None = None, **group: Any) -> dict[str, Any]:
    one = {"targets": ["Linear"], "weights": WEIGHTS, "input_activations": None, **group}
    return {
        "quant_method": "compressed-tensors", "format": form, "config_groups": {"group_0": one},
        "ignore": ["lm_head"] if ignore is None else ignore,
    }  # fmt: skip


def stated(config: dict[str, Any] | None, module: str = UP) -> StatedFormat:
    found = stated_format(config, module)
    assert isinstance(found, StatedFormat), found
    return found


@pytest.mark.parametrize("config, wanted", [
    (GPTQ, {"kind": FormatKind.GPTQ, "bits": 4, "group": 128, "symmetric": True, "act_order": False}),
    ({**GPTQ, "group_size": -1, "desc_act": True}, {"group": ALL_INPUTS, "act_order": True}),
    ({**GPTQ, "checkpoint_format": "gptq_v2"}, {"variant": "gptq_v2"}),
    ({**GPTQ, "checkpoint_format": "marlin"}, {"variant": "marlin"}),
    (AWQ, {"kind": FormatKind.AWQ, "group": 64, "symmetric": False, "variant": None}),
    ({**AWQ, "version": "GEMV"}, {"variant": "gemv"}),
    ({"quant_method": "awq", "w_bit": 4, "q_group_size": 32}, {"bits": 4, "group": 32, "symmetric": None}),
    (FP8, {"kind": FormatKind.FP8, "scale": "tensor", "activation": Activation.DYNAMIC}),
    ({**FP8, "activation_scheme": "static"}, {"activation": Activation.STATIC}),
    ({**FP8, "weight_block_size": [128, 128]}, {"scale": "block", "block": (128, 128)}),
    ({"quant_method": "blockwise_int8", "weight_block_size": [64, 128]},
     {"kind": FormatKind.INT8, "scale": "block", "block": (64, 128)}),
    ({"quant_method": "w8a8_int8"}, {"kind": FormatKind.INT8, "scale": "channel"}),
    ({"quant_method": "modelopt", "quant_algo": "FP8"}, {"kind": FormatKind.FP8, "activation": Activation.STATIC}),
    ({"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4"}}, {"kind": FormatKind.NVFP4, "group": 16}),
    (groups(), {"kind": FormatKind.PACKED, "bits": 4, "group": 128, "symmetric": True, "activation": Activation.NONE}),
    (groups(weights={**WEIGHTS, "actorder": "group"}), {"act_order": True}),
    (groups(weights={**WEIGHTS, "actorder": "static"}), {"act_order": False}),
    (groups(weights={**WEIGHTS, "strategy": "channel", "group_size": None}), {"group": ALL_INPUTS}),
    (groups(form="float-quantized", weights={"num_bits": 8, "type": "float", "strategy": "channel"}, input_activations=TOKENS),
     {"kind": FormatKind.FP8, "scale": "channel", "activation": Activation.DYNAMIC}),
    (groups(form="naive-quantized", weights={"num_bits": 8, "type": "int", "strategy": "tensor"},
            input_activations={"num_bits": 8, "dynamic": False}),
     {"kind": FormatKind.INT8, "scale": "tensor", "activation": Activation.STATIC}),
    (groups(form="mixed-precision", format="nvfp4-pack-quantized"), {"kind": FormatKind.NVFP4}),
    (groups(form="mxfp4-pack-quantized"), {"kind": FormatKind.MXFP4}),
])  # fmt: skip
def test_a_config_is_read_as_its_tool_means_it(config: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = stated(config)
    assert {key: getattr(found, key) for key in wanted} == wanted


@pytest.mark.parametrize("config, module, by", [
    (None, UP, "no quantization_config"),
    (GPTQ, "lm_head", "lm_head"),
    ({**GPTQ, "dynamic": {r"-:.*\.mlp\.": {}}}, UP, "dynamic"),
    ({**GPTQ, "modules_in_block_to_quantize": [["self_attn.q_proj"], ["mlp.down_proj"]]}, UP, "modules_in_block"),
    ({**AWQ, "modules_to_not_convert": ["mlp.up"]}, UP, "mlp.up"),
    ({**FP8, "ignored_layers": ["model.layers.3.mlp"]}, UP, "model.layers.3.mlp"),
    ({**FP8, "modules_to_not_convert": ["up_proj"]}, UP, "up_proj"),
    ({"quant_method": "modelopt", "quant_algo": "FP8", "exclude_modules": ["model.layers.3.*"]}, UP, "layers.3"),
    (groups(), "lm_head", "ignore"),
    (groups(ignore=[r"re:.*\.mlp\..*"]), UP, "ignore"),
    (groups(targets=["re:.*self_attn.*"]), UP, "no config group"),
])  # fmt: skip
def test_what_a_config_leaves_out_is_named_by_its_entry(config: dict[str, Any] | None, module: str, by: str) -> None:
    found = stated_format(config, module)
    assert isinstance(found, StatedPlain) and by in found.by


def test_an_entry_leaves_out_whole_parts_of_a_name_only() -> None:
    assert stated({**FP8, "ignored_layers": ["model.layers.30", "p_proj"]}).kind is FormatKind.FP8


def test_dynamic_rules_change_what_they_match() -> None:
    config = {**GPTQ, "dynamic": {r"+:.*\.up_proj$": {"bits": 8, "group_size": 32}, r"model\..*": {"bits": 2}}}
    assert (stated(config).bits, stated(config).group) == (8, 32)
    assert stated(config, "model.layers.0.mlp.down_proj").bits == 2


def test_the_first_group_that_matches_counts() -> None:
    config = groups()
    eight = {"targets": ["re:.*up_proj"], "weights": {**WEIGHTS, "num_bits": 8}, "input_activations": None}
    config["config_groups"] = {"group_1": eight, **config["config_groups"]}
    assert stated(config).bits == 8
    assert stated(config, "model.layers.0.mlp.down_proj").bits == 4


@pytest.mark.parametrize("config", [
    {"quant_method": "bitsandbytes"}, {}, {"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"},
    groups(form="marlin-24"), groups(weights=None), {"quant_method": "compressed-tensors"},
])  # fmt: skip
def test_words_that_are_not_known_state_nothing(config: dict[str, Any]) -> None:
    found = stated_format(config, UP)
    assert isinstance(found, Unstated) and found.reason


def test_a_router_is_called_quantized_by_no_config_that_names_no_modules() -> None:
    assert not stated(GPTQ, "model.layers.0.mlp.gate").certain
    assert stated(GPTQ).certain and stated(groups(), "model.layers.0.mlp.gate").certain


junk: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 300) | st.text(max_size=4) | st.just("re:("),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "bits", "group_size", "sym", "desc_act", "dynamic", "version", "modules_to_not_convert", "ignored_layers",
    "weight_block_size", "quant_algo", "quantization", "config_groups", "ignore", "format", "checkpoint_format",
    "modules_in_block_to_quantize", "exclude_modules",
]  # fmt: skip
METHODS = ["gptq", "awq", "fp8", "w8a8_int8", "mxfp4", "modelopt", "compressed-tensors", "none"]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(METHODS), st.dictionaries(st.sampled_from(KEYS), junk), st.sampled_from([None, UP, "lm_head", ""])
)
def test_no_config_is_a_reason_to_stumble(method: str, config: dict[str, Any], module: str | None) -> None:
    assert isinstance(
        stated_format({**config, "quant_method": method}, module), (StatedFormat, StatedPlain, Unstated)
    )  # fmt: skip
