"""Generated layers: real packed weights of any format, for trials where no checkpoint is at hand.

The weights of a random normal matrix of a usual size, rounded to nearest in the format's grid and laid out as
quantizers write them, part for part; and the quantization config that announces them.
"""

from __future__ import annotations

__all__ = ["generated_layer", "generated_weight", "packed_weight"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_runtime.packing.errors import UnpackableShape
from mixprec_runtime.packing.grids import portable
from mixprec_runtime.packing.nibbles import AWQ_ORDER, AWQ_ORDER_OF_BYTES, pack_columns, pack_rows

SPREAD = 0.02  # standard deviation of weights in a transformer
INPUT_RANGE = 6.0  # static activation scales reach so many standard deviations of normal inputs
FP8_LARGEST, E2M1_LARGEST = 448.0, 6.0
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)

Tensors = dict[str, torch.Tensor]


def generated_layer(format: Format, outputs: Sequence[int], inputs: int, *, seed: int = 0) -> list[Tensors]:
    """The tensors of each fused part of a layer, by the last part of their names, in checkpoint layout.

    The same arguments give the same numbers. Parts share the order of their inputs where the format has one, as those
    of a real layer do. Raises UnpackableShape for a shape that the layout does not have.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(inputs, generator=generator)
    parts = []
    for out in outputs:
        weight = torch.randn(out, inputs, generator=generator) * SPREAD
        parts.append(_MAKERS[format.kind](format, weight, order))
    return parts


def packed_weight(format: Format, weight: torch.Tensor, order: torch.Tensor) -> Tensors:
    """The tensors of one linear layer ``[out, in]``, by the last part of their names, rounded to nearest.

    ``order`` is the permutation of the inputs ``[in]`` that an act-order format takes. Raises UnpackableShape.
    """
    return _MAKERS[format.kind](format, weight, order)


def generated_weight(out: int, inputs: int, *, seed: int = 0) -> torch.Tensor:
    """A plain weight of the same kind of numbers, float32 ``[out, in]``."""
    return torch.randn(out, inputs, generator=torch.Generator().manual_seed(seed)) * SPREAD


@dataclass(frozen=True, kw_only=True)
class _Coded:
    """Codes 0 and up ``[out, in]``, scales and zero points ``[out, groups]``, the group of each input."""

    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor
    g_idx: torch.Tensor


def _coded(format: Format, weight: torch.Tensor, order: torch.Tensor, *, least_zero: int = 0) -> _Coded:
    out, inputs = weight.shape
    group = format.group or inputs
    if inputs % group:
        raise UnpackableShape("weight", weight.shape, f"a multiple of the group size {group} as inputs")
    g_idx = torch.arange(inputs) // group
    if format.act_order:
        g_idx = g_idx[order]
    by_group = weight[:, torch.argsort(g_idx, stable=True)].reshape(out, -1, group)
    top = (1 << format.bits) - 1
    if format.symmetric is False or format.kind is FormatKind.AWQ:
        low, high = by_group.amin(-1).clamp(max=0), by_group.amax(-1).clamp(min=0)
        scales = portable((high - low) / top)
        zeros = torch.round(-low / scales).clamp(least_zero, top)
    else:
        scales = portable(2 * by_group.abs().amax(-1) / top)
        zeros = torch.full_like(scales, float(1 << (format.bits - 1)))
    codes = (torch.round(weight / scales[:, g_idx]) + zeros[:, g_idx]).clamp(0, top)
    return _Coded(codes=codes.to(torch.int64), scales=scales, zeros=zeros.to(torch.int64), g_idx=g_idx)


def _gptq(format: Format, weight: torch.Tensor, order: torch.Tensor) -> Tensors:
    offset = 0 if format.variant == "gptq_v2" else 1  # what is stored is the zero point minus one
    coded = _coded(format, weight, order, least_zero=offset)
    return {
        "qweight": pack_rows(coded.codes.t(), bits=format.bits),
        "qzeros": pack_columns(coded.zeros.t() - offset, bits=format.bits),
        "scales": coded.scales.t().to(torch.float16).contiguous(),
        "g_idx": coded.g_idx.to(torch.int32),
    }


def _awq(format: Format, weight: torch.Tensor, order: torch.Tensor) -> Tensors:
    coded = _coded(format, weight, order)
    places = AWQ_ORDER if format.bits == 4 else AWQ_ORDER_OF_BYTES
    return {
        "qweight": pack_columns(coded.codes.t(), places, bits=format.bits),
        "qzeros": pack_columns(coded.zeros.t(), places, bits=format.bits),
        "scales": coded.scales.t().to(torch.float16).contiguous(),
    }


def _packed(format: Format, weight: torch.Tensor, order: torch.Tensor) -> Tensors:
    coded = _coded(format, weight, order)
    tensors = {
        "weight_packed": pack_columns(coded.codes, bits=format.bits),
        "weight_scale": coded.scales.to(torch.bfloat16),
        "weight_shape": torch.tensor(weight.shape, dtype=torch.int64),
    }
    if format.symmetric is False:
        tensors["weight_zero_point"] = pack_rows(coded.zeros, bits=format.bits)
    if format.act_order:
        tensors["weight_g_idx"] = coded.g_idx.to(torch.int32)
    return tensors


def _whole(format: Format, weight: torch.Tensor, _order: torch.Tensor) -> Tensors:
    """``weight`` in 8 bits, with scales per tensor, channel or block under the names that tools give them."""
    fp8 = format.kind is FormatKind.FP8
    largest = FP8_LARGEST if fp8 else 127.0
    if format.scale == "block":
        high, wide = format.block or (128, 128)
        scales = _block_peaks(weight, high, wide) / largest
        expanded = scales.repeat_interleave(high, 0)[: weight.shape[0]]
        expanded = expanded.repeat_interleave(wide, 1)[:, : weight.shape[1]]
        name, stored = "weight_scale_inv", scales
    elif format.scale == "channel":
        expanded = portable(weight.abs().amax(dim=1, keepdim=True) / largest)
        name, stored = "weight_scale", expanded.to(torch.bfloat16)
    else:
        expanded = (weight.abs().amax() / largest).reshape(1)
        # compressed-tensors writes one element, the tools of the method fp8 a number without dimensions
        name, stored = "weight_scale", expanded if not fp8 or format.activation is Activation.NONE else expanded[0]
    scaled = weight / expanded
    codes = scaled.to(torch.float8_e4m3fn) if fp8 else torch.round(scaled).clamp(-127, 127).to(torch.int8)
    tensors = {"weight": codes, name: stored.contiguous()}
    if format.activation is Activation.STATIC:
        tensors["input_scale"] = torch.tensor(INPUT_RANGE / largest)
    return tensors


def _block_peaks(weight: torch.Tensor, high: int, wide: int) -> torch.Tensor:
    out, inputs = weight.shape
    padded = torch.nn.functional.pad(weight.abs(), (0, -inputs % wide, 0, -out % high))
    peaks = padded.reshape(padded.shape[0] // high, high, padded.shape[1] // wide, wide).amax(dim=(1, 3))
    return peaks.clamp(min=2.0**-20)


def _nvfp4(_format: Format, weight: torch.Tensor, _order: torch.Tensor) -> Tensors:
    """compressed-tensors nvfp4-pack-quantized: float8 scales of 16 inputs, themselves scaled to the range of float8."""
    peaks = _group_peaks(weight, 16)
    global_scale = FP8_LARGEST * E2M1_LARGEST / weight.abs().amax()
    scales = (peaks / E2M1_LARGEST * global_scale).to(torch.float8_e4m3fn)
    expanded = (scales.to(torch.float32) / global_scale).repeat_interleave(16, 1)
    return {
        "weight_packed": _pack_e2m1(weight / expanded),
        "weight_scale": scales,
        "weight_global_scale": global_scale.reshape(1),
    }


def _mxfp4(_format: Format, weight: torch.Tensor, _order: torch.Tensor) -> Tensors:
    """compressed-tensors mxfp4-pack-quantized: scales of 32 inputs are powers of two, their exponent plus 127."""
    exponent = torch.ceil(torch.log2(_group_peaks(weight, 32) / E2M1_LARGEST))
    expanded = torch.exp2(exponent).repeat_interleave(32, 1)
    return {"weight_packed": _pack_e2m1(weight / expanded), "weight_scale": (exponent + 127).to(torch.uint8)}


def _group_peaks(weight: torch.Tensor, group: int) -> torch.Tensor:
    if weight.shape[1] % group:
        raise UnpackableShape("weight", weight.shape, f"a multiple of {group} as inputs")
    return weight.abs().reshape(weight.shape[0], -1, group).amax(dim=-1).clamp(min=2.0**-20)


def _pack_e2m1(scaled: torch.Tensor) -> torch.Tensor:
    """The nearest e2m1 of each number, two in a byte, the first in the lower half."""
    values = torch.tensor(_E2M1)
    codes = torch.bucketize(scaled.abs(), (values[1:] + values[:-1]) / 2) | ((scaled < 0).to(torch.int64) << 3)
    return (codes[:, ::2] | (codes[:, 1::2] << 4)).to(torch.uint8)


def _plain(format: Format, weight: torch.Tensor, _order: torch.Tensor) -> Tensors:
    dtype = {"F16": torch.float16, "F32": torch.float32}.get(format.dtype or "BF16", torch.bfloat16)
    return {"weight": weight.to(dtype)}


_MAKERS: Mapping[FormatKind, Callable[[Format, torch.Tensor, torch.Tensor], Tensors]] = {
    FormatKind.PLAIN: _plain,
    FormatKind.FP8: _whole,
    FormatKind.INT8: _whole,
    FormatKind.GPTQ: _gptq,
    FormatKind.AWQ: _awq,
    FormatKind.PACKED: _packed,
    FormatKind.NVFP4: _nvfp4,
    FormatKind.MXFP4: _mxfp4,
}
