"""The AutoAWQ GEMM layout of a 4-bit linear layer, and the configuration that announces it.

Tensors of a layer with ``in`` inputs and ``out`` outputs (AutoAWQ, ``awq/modules/linear/gemm.py``):

* ``qweight`` int32 ``[in, out / 8]``: eight codes of neighbouring outputs a word, interleaved (see nibbles.py);
* ``qzeros`` int32 ``[groups, out / 8]``: zero points as they are, in the same order;
* ``scales`` float16 ``[groups, out]``.

The value of a weight is ``scales[i // group_size, o] * (code[i, o] - zero[i // group_size, o])``.
"""

from __future__ import annotations

__all__ = ["awq_quantization_config", "awq_tensors"]

import torch

from mixprec_runtime.packing.grids import CodedLinear
from mixprec_runtime.packing.nibbles import AWQ_ORDER, pack_columns


def awq_tensors(linear: CodedLinear) -> dict[str, torch.Tensor]:
    """The three tensors of one layer by the last part of their names."""
    return {
        "qweight": pack_columns(linear.codes.t(), AWQ_ORDER),
        "qzeros": pack_columns(linear.grid.zeros.t(), AWQ_ORDER),
        "scales": linear.grid.scales.t().to(torch.float16).contiguous(),
    }


def awq_quantization_config(*, group_size: int) -> dict[str, object]:
    """``quantization_config`` of config.json, with the keys of AutoAWQ's ``AwqConfig.to_transformers_dict``."""
    return {
        "quant_method": "awq",
        "bits": 4,
        "group_size": group_size,
        "zero_point": True,
        "version": "gemm",
        "modules_to_not_convert": None,
    }
