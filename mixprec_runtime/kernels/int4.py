"""4-bit weights through PyTorch's own int4 matrix product.

Operator: ``aten::_weight_int4pack_mm_for_cpu`` (PyTorch ``native/cpu/int4mm_kernel.cpp``). Its weight is packed by
``_convert_weight_to_int4pack_for_cpu`` from values 0..15 in ``[out, in]``, and it computes with
``(q - 8) * scale + zero`` where ``scales_and_zeros`` is ``[in / group, out, 2]``. A checkpoint's ``(q - z) * scale``
is that with ``zero = (8 - z) * scale``. Groups of 32, 64, 128 or 256.
"""

from __future__ import annotations

__all__ = ["GROUPS", "Int4Weight", "from_awq", "from_gptq", "int4_linear", "unpack_columns", "unpack_rows"]

from dataclasses import dataclass

import torch

GROUPS = frozenset({32, 64, 128, 256})
AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Position in an AWQ word of each of eight neighbouring columns (AutoAWQ ``utils/packing_utils.py``)."""


@dataclass(frozen=True, kw_only=True)
class Int4Weight:
    """``packed`` is uint8 ``[out, in / 2]`` in the operator's order; ``scales_and_zeros`` ``[in / group, out, 2]``."""

    packed: torch.Tensor
    scales_and_zeros: torch.Tensor
    group: int


def unpack_rows(words: torch.Tensor) -> torch.Tensor:
    """Values 0..15 of int32 words ``[rows, columns]`` that hold eight neighbouring rows: ``[8 * rows, columns]``."""
    shifts = torch.arange(0, 32, 4, dtype=torch.int32, device=words.device)
    values = (words.unsqueeze(1) >> shifts[None, :, None]) & 0xF
    return values.reshape(-1, words.shape[1])


def unpack_columns(words: torch.Tensor, order: tuple[int, ...] = tuple(range(8))) -> torch.Tensor:
    """Values 0..15 of int32 words ``[rows, columns]`` that hold eight neighbouring columns: ``[rows, 8 * columns]``.

    ``order[i]`` is the position within a word of the ``i``-th of its columns.
    """
    shifts = torch.tensor([4 * position for position in order], dtype=torch.int32, device=words.device)
    values = (words.unsqueeze(-1) >> shifts) & 0xF
    return values.reshape(words.shape[0], -1)


def from_gptq(
    qweight: torch.Tensor, scales: torch.Tensor, qzeros: torch.Tensor | None, dtype: torch.dtype
) -> Int4Weight:
    """From AutoGPTQ's layout: qweight int32 ``[in / 8, out]``, scales ``[groups, out]``.

    ``qzeros`` int32 ``[groups, out / 8]`` holds zero points minus one; None means symmetric, zero point 8.
    """
    zeros = torch.full_like(scales, 8.0) if qzeros is None else (unpack_columns(qzeros) + 1).to(scales.dtype)
    return _pack(unpack_rows(qweight).t(), scales, zeros, dtype)


def from_awq(qweight: torch.Tensor, scales: torch.Tensor, qzeros: torch.Tensor, dtype: torch.dtype) -> Int4Weight:
    """From AutoAWQ's GEMM layout: qweight int32 ``[in, out / 8]``, qzeros ``[groups, out / 8]``; scales as above."""
    zeros = unpack_columns(qzeros, AWQ_ORDER).to(scales.dtype)
    return _pack(unpack_columns(qweight, AWQ_ORDER).t(), scales, zeros, dtype)


def _pack(values: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor, dtype: torch.dtype) -> Int4Weight:
    """Values ``[out, in]``, scales and zero points ``[groups, out]``."""
    wide = scales.to(torch.float32)
    shift = (8.0 - zeros.to(torch.float32)) * wide
    return Int4Weight(
        packed=torch.ops.aten._convert_weight_to_int4pack_for_cpu(values.to(torch.int32).contiguous(), 2),
        scales_and_zeros=torch.stack([wide, shift], dim=-1).to(dtype).contiguous(),
        group=values.shape[1] // scales.shape[0],
    )


def int4_linear(
    x: torch.Tensor,
    packed: torch.Tensor,
    scales_and_zeros: torch.Tensor,
    group: int,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """``x @ weight.T + bias`` for x ``[..., in]``; the weight is never dequantized as a whole."""
    rows = x.reshape(-1, x.shape[-1])
    out = torch.ops.aten._weight_int4pack_mm_for_cpu(rows.contiguous(), packed, group, scales_and_zeros)
    if bias is not None:
        out = out + bias
    return out.reshape(*x.shape[:-1], out.shape[-1])
