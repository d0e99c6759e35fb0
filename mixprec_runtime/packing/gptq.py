"""The AutoGPTQ layout of a 4-bit linear layer, and the configuration that announces it.

Tensors of a layer with ``in`` inputs and ``out`` outputs (AutoGPTQ,
``auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py``):

* ``qweight`` int32 ``[in / 8, out]``: eight codes of neighbouring inputs a word, the first in the lowest bits;
* ``qzeros`` int32 ``[groups, out / 8]``: zero points *minus one* (format ``gptq``, "v1"), same order along the outputs;
* ``scales`` float16 ``[groups, out]``;
* ``g_idx`` int32 ``[in]``: the group of every input. Without act-order it is ``i // group_size``.

The value of a weight is ``scales[g_idx[i], o] * (code[i, o] - zero[g_idx[i], o])``.
"""

from __future__ import annotations

__all__ = ["gptq_quantization_config", "gptq_tensors"]

import torch

from mixprec_runtime.packing.grids import CodedLinear
from mixprec_runtime.packing.nibbles import pack_columns, pack_rows


def gptq_tensors(linear: CodedLinear) -> dict[str, torch.Tensor]:
    """The four tensors of one layer by the last part of their names. Zero points must be 1 to 15."""
    zeros = linear.grid.zeros.t().to(torch.int64) - 1
    if bool((zeros < 0).any()):
        raise ValueError("the AutoGPTQ layout stores zero points minus one: a zero point of 0 cannot be stored")
    inputs = linear.codes.shape[1]
    return {
        "qweight": pack_rows(linear.codes.t()),
        "qzeros": pack_columns(zeros),
        "scales": linear.grid.scales.t().to(torch.float16).contiguous(),
        "g_idx": torch.arange(inputs, dtype=torch.int32) // linear.grid.group_size,
    }


def gptq_quantization_config(*, group_size: int, damping: float, true_sequential: bool) -> dict[str, object]:
    """``quantization_config`` of config.json and the whole of quantize_config.json, with AutoGPTQ's keys."""
    return {
        "quant_method": "gptq",
        "bits": 4,
        "group_size": group_size,
        "damp_percent": damping,
        "desc_act": False,
        "static_groups": True,
        "sym": True,
        "true_sequential": true_sequential,
        "lm_head": False,
        "checkpoint_format": "gptq",
    }
