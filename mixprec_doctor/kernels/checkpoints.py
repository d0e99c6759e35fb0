"""Checkpoints: what a checkpoint of a format says of itself, for an engine's own classes to read."""

from __future__ import annotations

__all__ = ["SCHEMES", "Origin", "origins", "scheme_arguments"]

from collections.abc import Mapping
from dataclasses import dataclass, field

from mixprec_doctor.kernels.values import Instance
from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.role import Role


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One kind of checkpoint that holds a format: the roles of the engine's classes for it, and its own words."""

    config: Role | None = None
    method: Role | None = None
    words: Mapping[str, object] = field(default_factory=dict)  # its quantization_config
    scheme: tuple[str, ...] = ()  # names of the engine's class for a compressed-tensors layer


# Classes of compressed-tensors layers, by what they do; the first that a release has is taken.
SCHEMES: Mapping[str, tuple[str, ...]] = {
    "packed": ("CompressedTensorsWNA16",),
    "fp8": ("CompressedTensorsW8A8Fp8",),
    "fp8 weights": ("CompressedTensorsW8A16Fp8",),
    "int8": ("CompressedTensorsW8A8Int8",),
    "nvfp4": ("CompressedTensorsW4A4Fp4",),
    "nvfp4 weights": ("CompressedTensorsW4A16Fp4", "CompressedTensorsW4A4Fp4"),
    "mxfp4": ("CompressedTensorsW4A4Mxfp4", "CompressedTensorsW4A4MXFp4", "CompressedTensorsW4A16Mxfp4"),
}


def origins(format: Format, *, method: str | None = None) -> tuple[Origin, ...]:
    """The kinds of checkpoints that hold a format, in the order in which engines try their classes for it.

    ``method`` is what the checkpoint calls its own quantization; None: the usual one for the format.
    """
    kind, group = format.kind, format.group or -1
    none = format.activation is Activation.NONE
    if kind is FormatKind.GPTQ:
        words = {
            "quant_method": "gptq", "bits": format.bits, "group_size": group, "desc_act": format.act_order,
            "sym": format.symmetric is not False, "damp_percent": 0.1,
            "modules_in_block_to_quantize": ["mlp.down_proj"],
        }  # fmt: skip
        return (
            Origin(config=Role.GPTQ_MARLIN_CONFIG, method=Role.GPTQ_MARLIN_LINEAR_METHOD, words=words),
            Origin(config=Role.GPTQ_CONFIG, method=Role.GPTQ_LINEAR_METHOD, words=words),
        )
    if kind is FormatKind.AWQ:
        words = {
            "quant_method": "awq", "bits": format.bits, "group_size": group, "version": "gemm",
            "zero_point": format.symmetric is not True,
        }  # fmt: skip
        return (
            Origin(config=Role.AWQ_MARLIN_CONFIG, method=Role.AWQ_MARLIN_LINEAR_METHOD, words=words),
            Origin(config=Role.AWQ_CONFIG, method=Role.AWQ_LINEAR_METHOD, words=words),
        )
    if kind is FormatKind.PACKED:
        return (Origin(scheme=SCHEMES["packed"]),)
    if kind is FormatKind.FP8 and (method == "compressed-tensors" or format.scale == "channel" or none):
        return (Origin(scheme=SCHEMES["fp8 weights" if none else "fp8"]),)
    if kind is FormatKind.FP8:
        words = {"quant_method": "fp8", "activation_scheme": format.activation.value, "fmt": "e4m3"}
        if format.block:
            words["weight_block_size"] = list(format.block)
        return (Origin(config=Role.FP8_CONFIG, method=Role.FP8_LINEAR_METHOD, words=words),)
    if kind is FormatKind.INT8 and format.scale == "block":
        words = {
            "quant_method": "blockwise_int8", "activation_scheme": format.activation.value,
            "weight_block_size": list(format.block or (128, 128)),
        }  # fmt: skip
        role = Role.BLOCKWISE_INT8_CONFIG
        return (Origin(config=role, method=Role.BLOCKWISE_INT8_LINEAR_METHOD, words=words),)
    if kind is FormatKind.INT8 and method == "w8a8_int8":
        role = Role.W8A8_INT8_CONFIG
        return (Origin(config=role, method=Role.W8A8_INT8_LINEAR_METHOD, words={"quant_method": "w8a8_int8"}),)
    if kind is FormatKind.INT8:
        return (Origin(scheme=SCHEMES["int8"]),)
    if kind is FormatKind.NVFP4:
        return (Origin(scheme=SCHEMES["nvfp4 weights" if none else "nvfp4"]),)
    if kind is FormatKind.MXFP4:
        return (Origin(scheme=SCHEMES["mxfp4"]),)
    return (Origin(method=Role.UNQUANTIZED_LINEAR_METHOD),)


def scheme_arguments(format: Format) -> dict[str, object]:
    """What the constructors of compressed-tensors schemes are given, by the names that releases have for it."""
    strategy = format.scale or ("group" if format.group else "channel")
    static = format.activation is Activation.STATIC
    weights = Instance(
        None,
        {
            "num_bits": format.bits,
            "type": "float" if format.kind in (FormatKind.FP8, FormatKind.NVFP4, FormatKind.MXFP4) else "int",
            "symmetric": format.symmetric is not False,
            "strategy": strategy,
            "group_size": format.group,
            "block_structure": list(format.block) if format.block else None,
            "dynamic": False,
            "actorder": "group" if format.act_order else None,
        },
        open=True,
        name="the checkpoint's weights",
    )
    return {
        "weight_quant": weights,
        "weights": weights,
        "strategy": strategy,
        "num_bits": format.bits,
        "group_size": format.group,
        "symmetric": format.symmetric is not False,
        "actorder": "group" if format.act_order else None,
        "is_static_input_scheme": static,
        "input_symmetric": True,
        "has_input_global_scale": True,
        "use_a16": format.activation is Activation.NONE,
        "layer_name": "layer",
    }
