"""The format of a module's weight, judged by the tensors that are there.

Names, types and shapes say what a module is; the quantization config says only what they leave open (bits of packed
words, symmetry, order, activations, size of blocks). Layouts: AutoGPTQ ``QuantLinear``, AutoAWQ ``WQLinear_GEMM``,
compressed-tensors "quantization formats", the FP8 layout of transformers' ``FineGrainedFP8Config``, ModelOpt's
``hf_quant_config.json`` checkpoints, and gpt-oss.
"""

from __future__ import annotations

__all__ = ["QUANTIZED_ONLY", "MalformedModule", "ModuleWeights", "read_module"]

from collections.abc import Mapping

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_runtime.checkpoint.layouts import (
    OTHER_ORDERS,
    MalformedModule,
    ModuleWeights,
    listed,
    read_awq,
    read_gptq,
    read_other_order,
    read_packed,
)
from mixprec_runtime.checkpoint.stated import StatedFormat, stated_format
from mixprec_runtime.records.checkpoint import TensorHeader

FLOATS = frozenset({"F16", "BF16", "F32"})
FLOAT8S = frozenset({"F8_E4M3", "F8_E5M2"})

# Tensors that a layout may have beside its weight; whatever else stands in a module is an unknown tensor.
COMPANIONS: Mapping[FormatKind, frozenset[str]] = {
    FormatKind.PLAIN: frozenset({"weight", "bias"}),
    FormatKind.FP8: frozenset(
        {"weight", "weight_scale", "weight_scale_inv", "input_scale", "activation_scale", "bias"}
    ),
    FormatKind.INT8: frozenset(
        {"weight", "weight_scale", "weight_scale_inv", "weight_zero_point", "input_scale", "bias"}
    ),
    FormatKind.GPTQ: frozenset({"qweight", "qzeros", "scales", "g_idx", "bias"}),
    FormatKind.AWQ: frozenset({"qweight", "qzeros", "scales", "bias"}),
    FormatKind.PACKED: frozenset(
        {"weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx", "bias"}
    ),
    FormatKind.NVFP4: frozenset(
        {
            "weight_packed", "weight", "weight_scale", "weight_scale_2", "weight_global_scale", "weight_shape",
            "input_scale", "input_global_scale", "bias",
        }
    ),
    FormatKind.MXFP4: frozenset({"weight_packed", "weight", "weight_scale", "weight_shape", "bias"}),
}  # fmt: skip
REQUIRED: Mapping[FormatKind, frozenset[str]] = {
    FormatKind.PLAIN: frozenset({"weight"}),
    FormatKind.FP8: frozenset({"weight"}),
    FormatKind.INT8: frozenset({"weight", "weight_scale"}),
    FormatKind.GPTQ: frozenset({"qweight", "qzeros", "scales"}),
    FormatKind.AWQ: frozenset({"qweight", "qzeros", "scales"}),
    FormatKind.PACKED: frozenset({"weight_packed", "weight_scale", "weight_shape"}),
    FormatKind.NVFP4: frozenset({"weight_scale"}),
    FormatKind.MXFP4: frozenset({"weight_scale"}),
}
QUANTIZED_ONLY = frozenset().union(*COMPANIONS.values()) - COMPANIONS[FormatKind.PLAIN]
BLOCKS, SCALES = "_blocks", "_scales"  # gpt-oss: experts' weights in MXFP4, named by their projection
NO_CONFIG = StatedFormat(kind=FormatKind.PLAIN)


def read_module(
    tensors: Mapping[str, TensorHeader], quantization: Mapping[str, object] | None, *, module: str | None = None
) -> ModuleWeights | MalformedModule:
    """Judge the tensors of one module, keyed by suffix; ``module`` is its name, for configs that tell modules apart."""
    found = stated_format(quantization, module)
    stated = found if isinstance(found, StatedFormat) else NO_CONFIG
    if any(suffix.endswith(BLOCKS) for suffix in tensors):
        return _gpt_oss(tensors)
    if stated.variant in OTHER_ORDERS and "qweight" in tensors:
        return read_other_order(tensors, stated)
    kind = _kind(tensors, quantization)
    if kind is None:
        return MalformedModule(reason=f"its tensors make no known layout: {listed(tensors)}")
    missing = REQUIRED[kind] - tensors.keys()
    if "weight_scale_inv" in tensors:
        missing -= {"weight_scale"}  # its other name, where blocks share scales
    if missing and kind is not FormatKind.PLAIN:
        return MalformedModule(reason=f"{kind.value} needs {', '.join(sorted(missing))} beside {listed(tensors)}")
    unknown = tensors.keys() & QUANTIZED_ONLY if kind is FormatKind.PLAIN else tensors.keys() - COMPANIONS[kind]
    if unknown:
        return MalformedModule(reason=f"{kind.value} has no tensor {', '.join(sorted(unknown))}")
    if kind is FormatKind.GPTQ:
        return read_gptq(tensors, stated)
    if kind is FormatKind.AWQ:
        return read_awq(tensors, stated)
    if kind is FormatKind.PACKED:
        return read_packed(tensors, quantization or {}, stated)
    if kind in (FormatKind.NVFP4, FormatKind.MXFP4):
        return _float4(tensors, kind, stated)
    return _stored_whole(tensors, kind, stated)


def _kind(tensors: Mapping[str, TensorHeader], quantization: Mapping[str, object] | None) -> FormatKind | None:
    if "qweight" in tensors:
        qweight, scales = tensors["qweight"], tensors.get("scales")
        if qweight.dtype != "I32" or len(qweight.shape) != 2 or scales is None or len(scales.shape) != 2:
            return FormatKind.GPTQ if quantization and quantization.get("quant_method") == "gptq" else None
        # GPTQ packs along the input: qweight has a column per output, as scales have; AWQ packs the columns.
        return FormatKind.GPTQ if qweight.shape[1] == scales.shape[1] else FormatKind.AWQ
    if "weight_packed" in tensors:
        return _packed_kind(tensors, tensors["weight_packed"])
    if "weight" not in tensors:
        # a lone parameter of a module (sinks, A_log, e_score_correction_bias)
        plain = not tensors.keys() & QUANTIZED_ONLY and all(t.dtype in FLOATS for t in tensors.values())
        return FormatKind.PLAIN if plain else None
    dtype = tensors["weight"].dtype
    if dtype in FLOAT8S:
        return FormatKind.FP8
    if dtype == "I8":
        return FormatKind.INT8
    if dtype == "U8" and ("weight_scale_2" in tensors or "weight_global_scale" in tensors):
        return FormatKind.NVFP4  # ModelOpt
    return FormatKind.PLAIN if dtype in FLOATS else None


def _packed_kind(tensors: Mapping[str, TensorHeader], packed: TensorHeader) -> FormatKind:
    if packed.dtype != "U8":
        return FormatKind.PACKED
    return FormatKind.NVFP4 if "weight_global_scale" in tensors else FormatKind.MXFP4


def _float4(
    tensors: Mapping[str, TensorHeader], kind: FormatKind, stated: StatedFormat
) -> ModuleWeights | MalformedModule:
    """Two weights in a byte of ``weight_packed`` or ``weight`` [out, in/2], a scale per 16 or 32 inputs."""
    packed, scale = tensors.get("weight_packed") or tensors["weight"], tensors["weight_scale"]
    group = 16 if kind is FormatKind.NVFP4 else 32
    if len(packed.shape) != 2 or scale.shape != (packed.shape[0], packed.shape[1] * 2 // group):
        return MalformedModule(reason=f"weight_scale does not fit a {kind.value} weight: {listed(tensors)}")
    static = "input_scale" in tensors or "input_global_scale" in tensors
    activation = stated.activation or (Activation.STATIC if static else Activation.NONE)
    fmt = Format(kind=kind, bits=4, group=group, activation=activation)
    return ModuleWeights(format=fmt, shape=(packed.shape[0], packed.shape[1] * 2))


def _gpt_oss(tensors: Mapping[str, TensorHeader]) -> ModuleWeights | MalformedModule:
    """gpt-oss: ``NAME_blocks`` uint8 [experts, out, in/32, 16] and ``NAME_scales`` uint8 [experts, out, in/32]."""
    for suffix, blocks in sorted(tensors.items()):
        name = suffix.removesuffix(BLOCKS)
        if name == suffix:
            continue
        scales = tensors.get(name + SCALES)
        if blocks.dtype != "U8" or len(blocks.shape) != 4 or scales is None or scales.shape != blocks.shape[:3]:
            return MalformedModule(reason=f"{suffix} and its scales do not fit: {listed(tensors)}")
        experts, out, groups, half = blocks.shape
        fmt = Format(kind=FormatKind.MXFP4, bits=4, group=2 * half)
        return ModuleWeights(format=fmt, shape=(experts, out, groups * 2 * half))
    return MalformedModule(reason=f"its tensors make no known layout: {listed(tensors)}")


def _stored_whole(
    tensors: Mapping[str, TensorHeader], kind: FormatKind, stated: StatedFormat
) -> ModuleWeights | MalformedModule:
    weight = tensors.get("weight") or next(iter(tensors.values()))
    if kind is FormatKind.PLAIN:
        bits = 32 if weight.dtype == "F32" else 16
        return ModuleWeights(format=Format(kind=kind, bits=bits, dtype=weight.dtype), shape=weight.shape)
    scale, block = _scale_form(tensors, stated)
    if scale is None:
        return MalformedModule(reason=f"its scale is neither per tensor, channel nor block: {listed(tensors)}")
    fmt = Format(
        kind=kind,
        bits=8,
        scale=scale,
        dtype=weight.dtype,
        block=block,
        symmetric="weight_zero_point" not in tensors if kind is FormatKind.INT8 else None,
        activation=_activation(tensors, stated),
    )
    return ModuleWeights(format=fmt, shape=weight.shape)


def _activation(tensors: Mapping[str, TensorHeader], stated: StatedFormat) -> Activation:
    """As the config says; static only where the checkpoint holds the scale; dynamic where nothing is said."""
    static = "input_scale" in tensors or "activation_scale" in tensors
    if stated.activation is Activation.STATIC and not static:
        return Activation.DYNAMIC
    return stated.activation or (Activation.STATIC if static else Activation.DYNAMIC)


def _scale_form(tensors: Mapping[str, TensorHeader], stated: StatedFormat) -> tuple[str | None, tuple[int, int] | None]:
    """What shares a scale ("tensor", "channel", "block", None where it fits nothing), and the size of blocks."""
    found = tensors.get("weight_scale") or tensors.get("weight_scale_inv")
    if found is None:
        return "tensor", None  # a scale of one, as in the first FP8 checkpoints
    elements, weight = 1, tensors["weight"].shape
    for extent in found.shape:
        elements *= extent
    if len(found.shape) == len(weight) == 2 and stated.block and _in_blocks(weight, stated.block) == found.shape:
        return "block", stated.block
    if elements == 1:
        return "tensor", None
    if not weight or not elements:
        return None, None
    if elements == found.shape[0] == weight[0]:
        return "channel", None
    if len(found.shape) != 2 or len(weight) != 2:
        return None, None
    return ("block", _block(weight, found.shape)) if _divides(weight, found.shape) else (None, None)


def _divides(weight: tuple[int, ...], scale: tuple[int, ...]) -> bool:
    return scale[0] <= weight[0] and scale[1] <= weight[1]


def _block(weight: tuple[int, ...], scale: tuple[int, ...]) -> tuple[int, int]:
    """The size of blocks by their number: that of all known tools where it fits, else the smallest that does."""
    if _in_blocks(weight, (128, 128)) == scale:
        return (128, 128)
    return (-(-weight[0] // scale[0]), -(-weight[1] // scale[1]))


def _in_blocks(weight: tuple[int, ...], block: tuple[int, int]) -> tuple[int, int]:
    return (-(-weight[0] // block[0]), -(-weight[1] // block[1]))
