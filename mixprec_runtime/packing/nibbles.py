"""Nibbles: eight 4-bit codes in one int32, or four of 8 bits, along the rows or the columns of a matrix.

Sources of the two orders:

* sequential (code ``i`` of a word in bits ``4*i`` to ``4*i+3``): AutoGPTQ,
  ``auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py``, ``QuantLinear.pack``;
* interleaved (bits ``4*i`` hold code ``(0, 2, 4, 6, 1, 3, 5, 7)[i]``): AutoAWQ,
  ``awq/modules/linear/gemm.py``, ``WQLinear_GEMM.from_linear`` (``order_map``).
"""

from __future__ import annotations

__all__ = [
    "AWQ_ORDER",
    "AWQ_ORDER_OF_BYTES",
    "CODES_PER_WORD",
    "SEQUENTIAL",
    "pack_columns",
    "pack_rows",
    "unpack_columns",
    "unpack_rows",
]

import torch

from mixprec_runtime.packing.errors import UnpackableShape

CODES_PER_WORD = 8
SEQUENTIAL = (0, 1, 2, 3, 4, 5, 6, 7)
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
AWQ_ORDER_OF_BYTES = (0, 2, 1, 3)
"""vLLM, ``model_executor/layers/quantization/utils/quant_utils.py``, ``awq_pack`` with 8 bits."""


def pack_columns(codes: torch.Tensor, order: tuple[int, ...] = SEQUENTIAL, *, bits: int = 4) -> torch.Tensor:
    """Pack each eight neighbours of a row: ``[rows, columns]`` of 0..15 to int32 ``[rows, columns / 8]``.

    ``order[i]`` is the neighbour that bits ``4*i`` to ``4*i+3`` of the word hold; with ``bits`` 8 four neighbours are
    packed, and the order of eight is left aside. Raises UnpackableShape where the columns are not a multiple of that.
    """
    per_word = 32 // bits
    if codes.dim() != 2 or codes.shape[1] % per_word:
        raise UnpackableShape("codes", codes.shape, f"a matrix with a multiple of {per_word} columns")
    places = list(order) if len(order) == per_word else list(range(per_word))
    words = codes.to(torch.int64).reshape(codes.shape[0], -1, per_word)[:, :, places]
    packed = (words << torch.arange(0, 32, bits, dtype=torch.int64)).sum(dim=-1)
    return torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32).contiguous()


def unpack_columns(packed: torch.Tensor, order: tuple[int, ...] = SEQUENTIAL) -> torch.Tensor:
    """The inverse of pack_columns: int32 ``[rows, words]`` to uint8 ``[rows, words * 8]``."""
    nibbles = (packed.to(torch.int64).unsqueeze(-1) >> _shifts()) & 15
    codes = torch.empty_like(nibbles)
    codes[:, :, list(order)] = nibbles
    return codes.reshape(packed.shape[0], -1).to(torch.uint8)


def pack_rows(codes: torch.Tensor, order: tuple[int, ...] = SEQUENTIAL, *, bits: int = 4) -> torch.Tensor:
    """Pack each eight neighbours of a column: ``[rows, columns]`` to int32 ``[rows / 8, columns]``."""
    return pack_columns(codes.t(), order, bits=bits).t().contiguous()


def unpack_rows(packed: torch.Tensor, order: tuple[int, ...] = SEQUENTIAL) -> torch.Tensor:
    """The inverse of pack_rows: int32 ``[words, columns]`` to uint8 ``[words * 8, columns]``."""
    return unpack_columns(packed.t(), order).t().contiguous()


def _shifts() -> torch.Tensor:
    return torch.arange(0, 4 * CODES_PER_WORD, 4, dtype=torch.int64)
