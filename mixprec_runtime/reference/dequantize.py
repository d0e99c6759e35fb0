"""Float32 weights of one linear layer, from the tensors of its layout.

``dequantize`` takes a layer's tensors by the last part of their names, as a checkpoint has them, and gives
``[out, in]`` float32, as ``torch.nn.Linear`` holds a weight. The decoders are written apart from the packers and from
the kernels, from the layouts' own sources:

* GPTQ: AutoGPTQ, ``auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py``, ``QuantLinear.forward``; ``gptq_v2``: GPTQModel,
  ``utils/model.py``, ``convert_gptq_v1_to_v2_format``;
* AWQ: AutoAWQ, ``awq/utils/packing_utils.py``, ``unpack_awq`` and ``reverse_awq_order``;
* FP8 and INT8 per tensor and channel: compressed-tensors, ``dequantize`` of
  ``compressed_tensors/quantization/lifecycle/forward.py``;
* blocks: DeepSeek-V3, ``inference/fp8_cast_bf16.py`` with ``weight_dequant`` of ``kernel.py``; INT8 likewise;
* pack-quantized: compressed-tensors, ``compressors/pack_quantized/base.py``, ``decompress``;
* NVFP4: compressed-tensors, ``compressors/nvfp4/base.py`` and ``helpers.py``; ModelOpt,
  ``modelopt/torch/quantization/qtensor/nvfp4_tensor.py``, ``dequantize``;
* MXFP4: compressed-tensors, ``compressors/mxfp4/base.py``; OCP Microscaling Formats 1.0, 5.4.1 (E8M0) and 5.3.3 (E2M1).
"""

from __future__ import annotations

__all__ = ["decode_awq", "decode_channel", "decode_gptq", "decode_plain", "dequantize"]

from collections.abc import Callable, Mapping

import torch

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.reference.errors import IncompleteLayer, UnknownLayout

Tensors = Mapping[str, torch.Tensor]

_AWQ_REVERSE_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # AutoAWQ's AWQ_REVERSE_ORDER
_AWQ_REVERSE_ORDER_OF_BYTES = (0, 2, 1, 3)  # vLLM's, in awq_pack of quant_utils.py; AutoAWQ has 4 bits only
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def dequantize(format: Format, tensors: Tensors) -> torch.Tensor:
    """The float32 weight ``[out, in]`` of one module in checkpoint layout.

    Raises IncompleteLayer where a tensor of the layout is missing, UnknownLayout for a variant that is not read.
    """
    if format.variant not in {None, "gptq_v2"}:
        raise UnknownLayout("a layer", f"{format.name} in the variant {format.variant}", _KNOWN)
    try:
        return _BY_KIND[format.kind](format, tensors).contiguous()
    except KeyError as missing:
        raise IncompleteLayer("a layer", format.name, sorted(tensors), [str(missing.args[0])]) from None


def decode_gptq(tensors: Tensors, *, bits: int = 4, offset: int = 1, symmetric: bool | None = None) -> torch.Tensor:
    """AutoGPTQ: ``scales[g] * (code - (qzero[g] + 1))`` with ``g = g_idx[input]``.

    ``qweight`` int32 ``[in * bits / 32, out]``, ``qzeros`` int32 ``[groups, out * bits / 32]``, ``scales``
    ``[groups, out]``, ``g_idx`` int32 ``[in]``, which some tools leave out where groups
    count up. The sum with one wraps at so many bits, as AutoGPTQ's own kernels do;
    ``offset`` is what is added, none in ``gptq_v2``. ``symmetric`` weights have the middle as their zero point,
    whatever ``qzeros`` hold: that is how engines read them.
    """
    scales = tensors["scales"].to(torch.float32)
    codes = _codes(tensors["qweight"].t(), bits).t()
    zeros = (_codes(tensors["qzeros"], bits) + offset) & ((1 << bits) - 1)
    if symmetric:
        zeros = torch.full_like(zeros, 1 << (bits - 1))
    inputs = codes.shape[0]
    in_order = torch.arange(inputs, device=codes.device) // (inputs // scales.shape[0])
    groups = tensors.get("g_idx", in_order).to(torch.int64)
    weight = scales[groups] * (codes.to(torch.float32) - zeros[groups].to(torch.float32))
    return weight.t().contiguous()


def decode_awq(tensors: Tensors, *, bits: int = 4) -> torch.Tensor:
    """AutoAWQ GEMM: ``scales[g] * (code - zero[g])`` with ``g = input // group size``.

    ``qweight`` int32 ``[in, out * bits / 32]``, ``qzeros`` int32 ``[groups, out * bits / 32]``, ``scales``
    ``[groups, out]``. The codes of a word are interleaved.
    """
    order = _AWQ_REVERSE_ORDER if bits == 4 else _AWQ_REVERSE_ORDER_OF_BYTES
    codes, zeros = (_codes(tensors[name], bits, order).to(torch.float32) for name in ("qweight", "qzeros"))
    scales = tensors["scales"].to(torch.float32)
    group_size = codes.shape[0] // scales.shape[0]
    scales, zeros = (each.repeat_interleave(group_size, dim=0) for each in (scales, zeros))
    return (scales * (codes - zeros)).t().contiguous()


def decode_channel(tensors: Tensors) -> torch.Tensor:
    """compressed-tensors ``int-quantized`` and ``float-quantized``: a scale per output channel, or one for all.

    ``weight`` int8 or float8_e4m3fn ``[out, in]``, ``weight_scale`` ``[out, 1]``, ``[out]`` or one number: their
    product, less ``weight_zero_point`` where there is one.
    """
    weight, scale = tensors["weight"].to(torch.float32), tensors["weight_scale"].to(torch.float32)
    zero = tensors.get("weight_zero_point")
    if zero is not None:
        weight = weight - zero.to(torch.float32).reshape(-1, 1)
    return weight * scale.reshape(-1, 1)


def decode_plain(tensors: Tensors) -> torch.Tensor:
    """A weight that is not quantized, in any floating-point type."""
    return tensors["weight"].to(torch.float32)


def _whole(format: Format, tensors: Tensors) -> torch.Tensor:
    scale = tensors.get("weight_scale_inv", tensors.get("weight_scale"))
    if scale is None:
        return decode_plain(tensors)
    if format.scale != "block" or format.block is None:
        return decode_channel({**tensors, "weight_scale": scale})
    high, wide = format.block
    out, inputs = tensors["weight"].shape
    expanded = scale.to(torch.float32).repeat_interleave(high, dim=0).repeat_interleave(wide, dim=1)
    return tensors["weight"].to(torch.float32) * expanded[:out, :inputs]


def _packed(format: Format, tensors: Tensors) -> torch.Tensor:
    """Codes are signed numbers plus half their range, and so are zero points, which are packed along the outputs."""
    middle = 1 << (format.bits - 1)
    scale = tensors["weight_scale"].to(torch.float32)
    inputs = int(tensors["weight_shape"][1])
    signed = _codes(tensors["weight_packed"], format.bits)[:, :inputs].to(torch.float32) - middle
    zeros = torch.zeros_like(scale)
    if format.symmetric is False:
        zeros = _codes(tensors["weight_zero_point"].t(), format.bits).t()[: scale.shape[0]].to(torch.float32) - middle
    groups = tensors.get("weight_g_idx", torch.arange(inputs) // (inputs // scale.shape[1])).to(torch.int64)
    return (signed - zeros[:, groups]) * scale[:, groups]


def _nvfp4(_format: Format, tensors: Tensors) -> torch.Tensor:
    scale = tensors["weight_scale"].to(torch.float32)
    if "weight_scale_2" in tensors:  # ModelOpt's multiplies, compressed-tensors' divides
        scale = scale * tensors["weight_scale_2"].to(torch.float32).reshape(-1, 1)
    else:
        scale = scale / tensors["weight_global_scale"].to(torch.float32).reshape(-1, 1)
    return _float4(tensors, scale, 16)


def _mxfp4(_format: Format, tensors: Tensors) -> torch.Tensor:
    exponent = tensors["weight_scale"].view(torch.uint8).to(torch.float32) - 127
    return _float4(tensors, torch.exp2(exponent), 32)


def _float4(tensors: Tensors, scale: torch.Tensor, group: int) -> torch.Tensor:
    """Two e2m1 in a byte, the first in the lower half: sign, two bits of exponent, one of mantissa."""
    packed = tensors["weight_packed"] if "weight_packed" in tensors else tensors["weight"]
    table = torch.tensor([*_E2M1, *(-value for value in _E2M1)])
    pairs = torch.stack([packed & 15, packed >> 4], dim=-1).to(torch.int64)
    return table[pairs].reshape(packed.shape[0], -1) * scale.repeat_interleave(group, dim=1)


def _codes(words: torch.Tensor, bits: int, order: tuple[int, ...] | None = None) -> torch.Tensor:
    """Codes of int32 words along a row, int32 ``[rows, words * 32 / bits]``; ``order[i]``: place of the ``i``-th."""
    places = torch.tensor(order or tuple(range(32 // bits)), dtype=torch.int32) * bits
    return (torch.bitwise_right_shift(words[:, :, None], places) & ((1 << bits) - 1)).reshape(words.shape[0], -1)


_BY_KIND: Mapping[FormatKind, Callable[[Format, Tensors], torch.Tensor]] = {
    FormatKind.PLAIN: lambda _format, tensors: decode_plain(tensors),
    FormatKind.FP8: _whole,
    FormatKind.INT8: _whole,
    FormatKind.GPTQ: lambda format, tensors: decode_gptq(
        tensors, bits=format.bits, offset=0 if format.variant == "gptq_v2" else 1, symmetric=format.symmetric
    ),
    FormatKind.AWQ: lambda format, tensors: decode_awq(tensors, bits=format.bits),
    FormatKind.PACKED: _packed,
    FormatKind.NVFP4: _nvfp4,
    FormatKind.MXFP4: _mxfp4,
}
_KNOWN = sorted(kind.value for kind in _BY_KIND)
