"""Words: codes of 4 or 8 bits in int32, unpacked along rows or columns.

Sources: AutoGPTQ ``auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py`` (neighbours of a column in one word, the first
in the lowest bits; zero points along the row); AutoAWQ ``awq/utils/packing_utils.py`` (the order of eight columns);
compressed-tensors ``compressors/quantized_compressors/pack_quantized.py`` (``unpack_from_int32``, in order).
"""

from __future__ import annotations

__all__ = ["AWQ_ORDER", "AWQ_ORDER_OF_BYTES", "unpack_columns", "unpack_rows"]

import torch

AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Position in an AWQ word of each of eight neighbouring columns (AutoAWQ ``utils/packing_utils.py``)."""
AWQ_ORDER_OF_BYTES = (0, 2, 1, 3)
"""The same for four columns of 8 bits (vLLM ``quantization/utils/quant_utils.py``, ``awq_pack``)."""


def unpack_rows(words: torch.Tensor, bits: int = 4) -> torch.Tensor:
    """Codes of int32 words ``[rows, columns]`` that hold neighbouring rows: uint8 ``[rows * 32 / bits, columns]``."""
    return unpack_columns(words.t(), bits=bits).t()


def unpack_columns(words: torch.Tensor, order: tuple[int, ...] | None = None, *, bits: int = 4) -> torch.Tensor:
    """Codes of int32 words ``[rows, columns]`` that hold neighbouring columns: uint8 ``[rows, columns * 32 / bits]``.

    ``order[i]`` is the position within a word of the ``i``-th of its columns; None: in order from the lowest bits.
    """
    positions = order or tuple(range(32 // bits))
    mask = (1 << bits) - 1
    codes = torch.empty(*words.shape, len(positions), dtype=torch.uint8, device=words.device)
    for column, position in enumerate(positions):  # one at a time: all shifted at once would take 32 bits per code
        codes[..., column] = ((words >> (bits * position)) & mask).to(torch.uint8)
    return codes.reshape(words.shape[0], -1)
