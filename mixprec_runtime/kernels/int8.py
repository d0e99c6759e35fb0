"""8-bit integer weights through PyTorch's own products.

On a CPU ``aten::_weight_int8pack_mm`` (``native/cpu/int8mm_kernel.cpp``) multiplies inputs in floating point with int8
weights; rounding the inputs, which a W8A8 checkpoint allows, is left out and only takes an error away. ``_int_mm`` with
rounded inputs was slower there at every size that was measured. On a GPU ``aten::_int_mm`` multiplies in 8 bits: each
row of the input has its own scale, its largest magnitude over 127 (compressed-tensors' strategy ``token``).
"""

from __future__ import annotations

__all__ = ["int8_linear", "prepare"]

from collections.abc import Mapping, Sequence

import torch

from mixprec_doctor.records.format import Format
from mixprec_runtime.kernels.errors import UnpreparableWeight
from mixprec_runtime.kernels.weights import grouped_weight

LEAST_ROWS = 32  # _int_mm on CUDA refuses 16 rows and fewer
SMALLEST = 1e-12


def prepare(
    format: Format, tensors: Mapping[str, torch.Tensor], widths: Sequence[int], dtype: torch.dtype
) -> dict[str, torch.Tensor | int]:
    """State of ``int8_linear``: the weight as it is, a scale per output."""
    weight = grouped_weight("portable int8", format, tensors, widths)
    if weight.zeros is not None or weight.scales.shape[1] != 1 or weight.codes.dtype is not torch.int8:
        raise UnpreparableWeight("portable int8", format.name, "symmetric int8 with a scale per output", "another")
    scales = weight.scales[:, 0]
    on_cpu = weight.codes.device.type == "cpu"
    return {"codes": weight.codes.contiguous(), "scales": scales.to(dtype).contiguous() if on_cpu else scales}


def int8_linear(x: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """``x @ (codes * scales[:, None]).T`` for x ``[rows, in]``."""
    if x.device.type == "cpu":
        out: torch.Tensor = torch.ops.aten._weight_int8pack_mm(x.contiguous(), codes, scales)
        return out
    rows = x.shape[0]
    row_scales = (x.abs().amax(dim=-1, keepdim=True).to(torch.float32) / 127.0).clamp(min=SMALLEST)
    rounded = torch.round(x / row_scales).clamp(-127, 127).to(torch.int8)
    if rows < LEAST_ROWS:
        rounded = torch.nn.functional.pad(rounded, (0, 0, 0, LEAST_ROWS - rows))
    sums = torch.ops.aten._int_mm(rounded, codes.t())[:rows]
    return (sums.to(torch.float32) * row_scales * scales).to(x.dtype)
