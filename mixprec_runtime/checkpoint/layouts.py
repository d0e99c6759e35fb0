"""Layouts of packed words: GPTQ, AWQ and compressed-tensors' pack-quantized, judged by the shapes of their tensors."""

from __future__ import annotations

__all__ = [
    "OTHER_ORDERS",
    "MalformedModule",
    "ModuleWeights",
    "listed",
    "read_awq",
    "read_gptq",
    "read_other_order",
    "read_packed",
]

from collections.abc import Mapping
from dataclasses import dataclass

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_runtime.checkpoint.stated import StatedFormat
from mixprec_runtime.records.checkpoint import TensorHeader


@dataclass(frozen=True, kw_only=True)
class MalformedModule:
    """Tensors that make no module of any known layout, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class ModuleWeights:
    """A module's format and the shape of its weight as if it were plain: ``(out, in)`` for a linear module."""

    format: Format
    shape: tuple[int, ...]


OTHER_ORDERS = frozenset({"gemv", "gemv_fast", "marlin"})
"""Variants of AWQ and GPTQ whose words lie in another order, so that their shapes say something else."""


def listed(tensors: Mapping[str, TensorHeader]) -> str:
    """Tensors of a module in words: name, type and shape of each."""
    return ", ".join(f"{suffix} {t.dtype}{list(t.shape)}" for suffix, t in sorted(tensors.items()))


def read_gptq(tensors: Mapping[str, TensorHeader], stated: StatedFormat) -> ModuleWeights | MalformedModule:
    """qweight [in*bits/32, out], qzeros [groups, out*bits/32], scales [groups, out], g_idx [in]."""
    if any(len(tensors[suffix].shape) != 2 for suffix in ("qweight", "qzeros", "scales")):
        return MalformedModule(reason=f"qweight, qzeros and scales do not fit: {listed(tensors)}")
    rows, out = tensors["qweight"].shape
    groups, scale_out = tensors["scales"].shape
    zeros_groups, zeros_columns = tensors["qzeros"].shape
    bits = 32 * zeros_columns // out if out else 0
    if bits not in (2, 3, 4, 8) or 32 * zeros_columns != out * bits or zeros_groups != groups:
        return MalformedModule(reason=f"qzeros do not fit qweight and scales: {listed(tensors)}")
    if scale_out != out or not groups:
        return MalformedModule(reason=f"scales do not fit qweight: {listed(tensors)}")
    inputs = rows * 32 // bits
    if "g_idx" in tensors and tensors["g_idx"].shape != (inputs,):
        return MalformedModule(reason=f"g_idx does not have one entry per input feature: {listed(tensors)}")
    group = _group(inputs, groups)
    if group is None:
        return MalformedModule(reason=f"{groups} groups do not divide {inputs} input features")
    fmt = Format(
        kind=FormatKind.GPTQ,
        bits=bits,
        group=group,
        symmetric=stated.symmetric,
        act_order=bool(stated.act_order) and "g_idx" in tensors,  # without one the order is the inputs' own
        variant=stated.variant,
    )
    return ModuleWeights(format=fmt, shape=(out, inputs))


def read_awq(tensors: Mapping[str, TensorHeader], stated: StatedFormat) -> ModuleWeights | MalformedModule:
    """qweight [in, out*bits/32], qzeros [groups, out*bits/32], scales [groups, out]."""
    inputs, columns = tensors["qweight"].shape
    groups, out = tensors["scales"].shape
    bits = 32 * columns // out if out else 0
    if bits not in (4, 8) or 32 * columns != out * bits or tensors["qzeros"].shape != (groups, columns):
        return MalformedModule(reason=f"qweight, qzeros and scales do not fit: {listed(tensors)}")
    group = _group(inputs, groups)
    if group is None:
        return MalformedModule(reason=f"{groups} groups do not divide {inputs} input features")
    symmetric = False if stated.symmetric is None else stated.symmetric  # the layout has zero points
    fmt = Format(kind=FormatKind.AWQ, bits=bits, group=group, symmetric=symmetric, variant=stated.variant)
    return ModuleWeights(format=fmt, shape=(out, inputs))


def read_packed(
    tensors: Mapping[str, TensorHeader], quantization: Mapping[str, object], stated: StatedFormat
) -> ModuleWeights | MalformedModule:
    """compressed-tensors pack-quantized: weight_packed [out, in*bits/32], weight_scale [out, groups].

    ``weight_shape`` holds the plain shape, but as data; headers give it once the number of bits is known.
    """
    packed, scale = tensors["weight_packed"], tensors["weight_scale"]
    if packed.dtype != "I32" or len(packed.shape) != 2 or len(scale.shape) != 2:
        return MalformedModule(reason=f"weight_packed is no packed matrix: {listed(tensors)}")
    out, columns = packed.shape
    for bits in (stated.bits,) if stated.bits in (4, 8) else _stated_bits(quantization):
        inputs = columns * 32 // bits
        group = _group(inputs, scale.shape[1])
        if group is not None and scale.shape[0] == out:
            fmt = Format(
                kind=FormatKind.PACKED,
                bits=bits,
                group=group if scale.shape[1] > 1 else None,
                symmetric="weight_zero_point" not in tensors,
                act_order="weight_g_idx" in tensors,
                activation=stated.activation or Activation.NONE,
            )
            return ModuleWeights(format=fmt, shape=(out, inputs))
    return MalformedModule(reason=f"weight_scale does not fit weight_packed: {listed(tensors)}")


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


def read_other_order(tensors: Mapping[str, TensorHeader], stated: StatedFormat) -> ModuleWeights | MalformedModule:
    """AWQ's gemv: qweight [out, in/8]; gemv_fast: [out/4, in] in 16 bits; marlin: [in/16, out*2], of either tool."""
    bits, words = stated.bits or 4, tensors["qweight"].shape
    if len(words) != 2:
        return MalformedModule(reason=f"qweight is no matrix: {listed(tensors)}")
    shapes = {
        "gemv": (words[0], words[1] * 32 // bits),
        "gemv_fast": (words[0] * 4, words[1]),
        "marlin": (words[1] * 2 // bits, words[0] * 16),
    }
    group = stated.group if stated.group and stated.group > 0 else None
    fmt = Format(kind=stated.kind, bits=bits, group=group, symmetric=stated.symmetric, variant=stated.variant)
    return ModuleWeights(format=fmt, shape=shapes[str(stated.variant)])
