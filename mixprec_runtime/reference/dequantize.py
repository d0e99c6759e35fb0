"""Float32 weights of one linear layer, from the tensors of its layout.

Each decoder takes a layer's tensors by the last part of their names and gives ``[out, in]`` float32, as
``torch.nn.Linear`` holds a weight. They are written apart from the packers, from the layouts' own sources:

* GPTQ: AutoGPTQ, ``auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py``, ``QuantLinear.forward``;
* AWQ: AutoAWQ, ``awq/utils/packing_utils.py``, ``unpack_awq`` and ``reverse_awq_order``;
* channel-wise INT8 and FP8: compressed-tensors, ``dequantize`` of
  ``compressed_tensors/quantization/lifecycle/forward.py``.
"""

from __future__ import annotations

__all__ = ["DECODERS", "Decoder", "decode_awq", "decode_channel", "decode_gptq", "decode_plain"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

_NIBBLES = 8
_AWQ_REVERSE_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # AutoAWQ's AWQ_REVERSE_ORDER


def decode_gptq(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """AutoGPTQ, 4 bits: ``scales[g] * (code - (qzero[g] + 1))`` with ``g = g_idx[input]``.

    ``qweight`` int32 ``[in / 8, out]``, ``qzeros`` int32 ``[groups, out / 8]``, ``scales`` ``[groups, out]``,
    ``g_idx`` int32 ``[in]``. The sum with one wraps at four bits, as AutoGPTQ's own kernels do.
    """
    qweight, qzeros, scales = tensors["qweight"], tensors["qzeros"], tensors["scales"].to(torch.float32)
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    codes = torch.bitwise_right_shift(qweight[:, None, :], shifts[None, :, None]) & 15  # [in / 8, 8, out]
    codes = codes.reshape(qweight.shape[0] * _NIBBLES, qweight.shape[1])
    zeros = torch.bitwise_right_shift(qzeros[:, :, None], shifts[None, None, :]) & 15  # [groups, out / 8, 8]
    zeros = (zeros.reshape(qzeros.shape[0], -1) + 1) & 15
    groups = tensors["g_idx"].to(torch.int64)
    weight = scales[groups] * (codes.to(torch.float32) - zeros[groups].to(torch.float32))
    return weight.t().contiguous()


def decode_awq(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """AutoAWQ GEMM, 4 bits: ``scales[g] * (code - zero[g])`` with ``g = input // group size``.

    ``qweight`` int32 ``[in, out / 8]``, ``qzeros`` int32 ``[groups, out / 8]``, ``scales`` ``[groups, out]``.
    """
    codes, zeros = _unpack_awq(tensors["qweight"]), _unpack_awq(tensors["qzeros"])
    scales = tensors["scales"].to(torch.float32)
    group_size = codes.shape[0] // scales.shape[0]
    scales, zeros = (each.repeat_interleave(group_size, dim=0) for each in (scales, zeros))
    return (scales * (codes - zeros)).t().contiguous()


def decode_channel(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """compressed-tensors ``int-quantized`` and ``float-quantized``, one symmetric scale per output channel.

    ``weight`` int8 or float8_e4m3fn ``[out, in]``, ``weight_scale`` ``[out, 1]``: their product.
    """
    return tensors["weight"].to(torch.float32) * tensors["weight_scale"].to(torch.float32)


def decode_plain(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """A weight that is not quantized, in any floating-point type."""
    return tensors["weight"].to(torch.float32)


def _unpack_awq(packed: torch.Tensor) -> torch.Tensor:
    """The codes of an AWQ matrix in natural order, float32 ``[rows, words * 8]``."""
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    nibbles = torch.bitwise_right_shift(packed[:, :, None], shifts[None, None, :]) & 15
    return nibbles[:, :, list(_AWQ_REVERSE_ORDER)].reshape(packed.shape[0], -1).to(torch.float32)


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """How a layout is read: the tensors that a layer of it must have, and the function."""

    layout: str
    parts: frozenset[str]
    decode: Callable[[Mapping[str, torch.Tensor]], torch.Tensor]


_CHANNEL = frozenset({"weight", "weight_scale"})
DECODERS: tuple[Decoder, ...] = (
    Decoder(layout="gptq", parts=frozenset({"qweight", "qzeros", "scales", "g_idx"}), decode=decode_gptq),
    Decoder(layout="awq", parts=frozenset({"qweight", "qzeros", "scales"}), decode=decode_awq),
    Decoder(layout="int-quantized", parts=_CHANNEL, decode=decode_channel),
    Decoder(layout="float-quantized", parts=_CHANNEL, decode=decode_channel),
    Decoder(layout="plain", parts=frozenset({"weight"}), decode=decode_plain),
)
