"""The format of a module's weight, judged by the tensors that are there.

Names, types and shapes say what a module is; the quantization config says only what the names leave open
(bits, group size). Layouts: AutoGPTQ ``QuantLinear``, AutoAWQ ``WQLinear_GEMM``, compressed-tensors
"quantization formats", and the FP8 layout of transformers' ``FineGrainedFP8Config``.
"""

from __future__ import annotations

__all__ = ["QUANTIZED_ONLY", "MalformedModule", "ModuleWeights", "read_module"]

from collections.abc import Mapping
from dataclasses import dataclass

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.records.checkpoint import TensorHeader

FLOATS = frozenset({"F16", "BF16", "F32"})
FLOAT8S = frozenset({"F8_E4M3", "F8_E5M2"})

# Tensors that a layout may have beside its weight; whatever else stands in a module is an unknown tensor.
COMPANIONS: Mapping[FormatKind, frozenset[str]] = {
    FormatKind.PLAIN: frozenset({"weight", "bias"}),
    FormatKind.FP8: frozenset(
        {"weight", "weight_scale", "weight_scale_inv", "input_scale", "activation_scale", "bias"}
    ),
    FormatKind.INT8: frozenset({"weight", "weight_scale", "weight_zero_point", "input_scale", "bias"}),
    FormatKind.GPTQ: frozenset({"qweight", "qzeros", "scales", "g_idx", "bias"}),
    FormatKind.AWQ: frozenset({"qweight", "qzeros", "scales", "bias"}),
    FormatKind.PACKED: frozenset(
        {"weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx", "bias"}
    ),
}
REQUIRED: Mapping[FormatKind, frozenset[str]] = {
    FormatKind.PLAIN: frozenset({"weight"}),
    FormatKind.FP8: frozenset({"weight"}),
    FormatKind.INT8: frozenset({"weight", "weight_scale"}),
    FormatKind.GPTQ: frozenset({"qweight", "qzeros", "scales"}),
    FormatKind.AWQ: frozenset({"qweight", "qzeros", "scales"}),
    FormatKind.PACKED: frozenset({"weight_packed", "weight_scale", "weight_shape"}),
}
QUANTIZED_ONLY = frozenset().union(*COMPANIONS.values()) - COMPANIONS[FormatKind.PLAIN]


@dataclass(frozen=True, kw_only=True)
class MalformedModule:
    """Tensors that make no module of any known layout, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class ModuleWeights:
    """A module's format and the shape of its weight as if it were plain: ``(out, in)`` for a linear module."""

    format: Format
    shape: tuple[int, ...]


def read_module(
    tensors: Mapping[str, TensorHeader], quantization: Mapping[str, object] | None
) -> ModuleWeights | MalformedModule:
    """Judge the tensors of one module, keyed by suffix."""
    kind = _kind(tensors, quantization)
    if kind is None:
        return MalformedModule(reason=f"its tensors make no known layout: {_listed(tensors)}")
    missing = REQUIRED[kind] - tensors.keys()
    if missing and kind is not FormatKind.PLAIN:
        return MalformedModule(reason=f"{kind.value} needs {', '.join(sorted(missing))} beside {_listed(tensors)}")
    unknown = tensors.keys() & QUANTIZED_ONLY if kind is FormatKind.PLAIN else tensors.keys() - COMPANIONS[kind]
    if unknown:
        return MalformedModule(reason=f"{kind.value} has no tensor {', '.join(sorted(unknown))}")
    if kind is FormatKind.GPTQ:
        return _gptq(tensors, quantization or {})
    if kind is FormatKind.AWQ:
        return _awq(tensors)
    if kind is FormatKind.PACKED:
        return _packed(tensors, quantization or {})
    return _stored_whole(tensors, kind)


def _listed(tensors: Mapping[str, TensorHeader]) -> str:
    return ", ".join(f"{suffix} {t.dtype}{list(t.shape)}" for suffix, t in sorted(tensors.items()))


def _kind(tensors: Mapping[str, TensorHeader], quantization: Mapping[str, object] | None) -> FormatKind | None:
    if "qweight" in tensors:
        qweight, scales = tensors["qweight"], tensors.get("scales")
        if qweight.dtype != "I32" or len(qweight.shape) != 2 or scales is None or len(scales.shape) != 2:
            return FormatKind.GPTQ if quantization and quantization.get("quant_method") == "gptq" else None
        # GPTQ packs along the input: qweight has a column per output, as scales have; AWQ packs the columns.
        return FormatKind.GPTQ if qweight.shape[1] == scales.shape[1] else FormatKind.AWQ
    if "weight_packed" in tensors:
        return FormatKind.PACKED
    if "weight" not in tensors:
        # a lone parameter of a module (sinks, A_log, e_score_correction_bias)
        plain = not tensors.keys() & QUANTIZED_ONLY and all(t.dtype in FLOATS for t in tensors.values())
        return FormatKind.PLAIN if plain else None
    dtype = tensors["weight"].dtype
    if dtype in FLOAT8S:
        return FormatKind.FP8
    if dtype == "I8":
        return FormatKind.INT8
    return FormatKind.PLAIN if dtype in FLOATS else None


def _gptq(tensors: Mapping[str, TensorHeader], quantization: Mapping[str, object]) -> ModuleWeights | MalformedModule:
    """qweight [in*bits/32, out], qzeros [groups, out*bits/32], scales [groups, out], g_idx [in]."""
    if any(len(tensors[suffix].shape) != 2 for suffix in ("qweight", "qzeros", "scales")):
        return MalformedModule(reason=f"qweight, qzeros and scales do not fit: {_listed(tensors)}")
    rows, out = tensors["qweight"].shape
    groups, scale_out = tensors["scales"].shape
    zeros_groups, zeros_columns = tensors["qzeros"].shape
    bits = 32 * zeros_columns // out if out else 0
    if bits not in (2, 3, 4, 8) or 32 * zeros_columns != out * bits or zeros_groups != groups:
        return MalformedModule(reason=f"qzeros do not fit qweight and scales: {_listed(tensors)}")
    if scale_out != out or not groups:
        return MalformedModule(reason=f"scales do not fit qweight: {_listed(tensors)}")
    inputs = rows * 32 // bits
    stated = quantization.get("bits")
    if stated is not None and stated != bits and not quantization.get("dynamic"):
        return MalformedModule(reason=f"its config says {stated} bits, its tensors hold {bits}")
    if "g_idx" in tensors and tensors["g_idx"].shape != (inputs,):
        return MalformedModule(reason=f"g_idx does not have one entry per input feature: {_listed(tensors)}")
    group = _group(inputs, groups)
    if group is None:
        return MalformedModule(reason=f"{groups} groups do not divide {inputs} input features")
    return ModuleWeights(format=Format(kind=FormatKind.GPTQ, bits=bits, group=group), shape=(out, inputs))


def _awq(tensors: Mapping[str, TensorHeader]) -> ModuleWeights | MalformedModule:
    """qweight [in, out*bits/32], qzeros [groups, out*bits/32], scales [groups, out]."""
    inputs, columns = tensors["qweight"].shape
    groups, out = tensors["scales"].shape
    bits = 32 * columns // out if out else 0
    if bits not in (4, 8) or 32 * columns != out * bits or tensors["qzeros"].shape != (groups, columns):
        return MalformedModule(reason=f"qweight, qzeros and scales do not fit: {_listed(tensors)}")
    group = _group(inputs, groups)
    if group is None:
        return MalformedModule(reason=f"{groups} groups do not divide {inputs} input features")
    return ModuleWeights(format=Format(kind=FormatKind.AWQ, bits=bits, group=group), shape=(out, inputs))


def _packed(tensors: Mapping[str, TensorHeader], quantization: Mapping[str, object]) -> ModuleWeights | MalformedModule:
    """compressed-tensors pack-quantized: weight_packed [out, in*bits/32], weight_scale [out, groups].

    ``weight_shape`` holds the plain shape, but as data; headers give it once the number of bits is known.
    """
    packed, scale = tensors["weight_packed"], tensors["weight_scale"]
    if packed.dtype != "I32" or len(packed.shape) != 2 or len(scale.shape) != 2:
        return MalformedModule(reason=f"weight_packed is no packed matrix: {_listed(tensors)}")
    out, columns = packed.shape
    for bits in _stated_bits(quantization):
        inputs = columns * 32 // bits
        group = _group(inputs, scale.shape[1])
        if group is not None and scale.shape[0] == out:
            fmt = Format(kind=FormatKind.PACKED, bits=bits, group=group if scale.shape[1] > 1 else None)
            return ModuleWeights(format=fmt, shape=(out, inputs))
    return MalformedModule(reason=f"weight_scale does not fit weight_packed: {_listed(tensors)}")


def _stated_bits(quantization: Mapping[str, object]) -> tuple[int, ...]:
    """The bits of weights that a compressed-tensors config states; 4, then 8, where it states none."""
    groups = quantization.get("config_groups")
    weights = [
        group.get("weights") for group in (groups.values() if isinstance(groups, dict) else ())
        if isinstance(group, dict)
    ]  # fmt: skip
    stated = {int(w["num_bits"]) for w in weights if isinstance(w, dict) and w.get("num_bits") in (4, 8)}
    return tuple(sorted(stated)) or (4, 8)


def _group(inputs: int, groups: int) -> int | None:
    if not groups or inputs % groups:
        return None
    return inputs // groups


def _stored_whole(tensors: Mapping[str, TensorHeader], kind: FormatKind) -> ModuleWeights | MalformedModule:
    weight = tensors.get("weight") or next(iter(tensors.values()))
    if kind is FormatKind.PLAIN:
        bits = 32 if weight.dtype == "F32" else 16
        return ModuleWeights(format=Format(kind=kind, bits=bits, dtype=weight.dtype), shape=weight.shape)
    scale = _scale_form(tensors)
    if scale is None:
        return MalformedModule(reason=f"its scale is neither per tensor, channel nor block: {_listed(tensors)}")
    return ModuleWeights(format=Format(kind=kind, bits=8, scale=scale, dtype=weight.dtype), shape=weight.shape)


def _scale_form(tensors: Mapping[str, TensorHeader]) -> str | None:
    found = tensors.get("weight_scale") or tensors.get("weight_scale_inv")
    if found is None:
        return "tensor"  # a scale of one, as in the first FP8 checkpoints
    elements = 1
    for extent in found.shape:
        elements *= extent
    if elements == 1:
        return "tensor"
    weight = tensors["weight"].shape
    if not weight or not elements:
        return None
    if elements == found.shape[0] == weight[0]:
        return "channel"
    blocks = len(found.shape) == len(weight) == 2 and found.shape[0] <= weight[0] and found.shape[1] <= weight[1]
    return "block" if blocks else None
