"""8-bit integer weights through PyTorch's own products.

On a CPU ``aten::_weight_int8pack_mm`` (``native/cpu/int8mm_kernel.cpp``) multiplies inputs in floating point with int8
weights; rounding the inputs, which a W8A8 checkpoint allows, is left out and only takes an error away. ``_int_mm`` with
rounded inputs was slower there at every size that was measured. On a GPU ``aten::_int_mm`` multiplies in 8 bits: each
row of the input has its own scale, its largest magnitude over 127 (compressed-tensors' strategy ``token``).

Weights with a scale for each group of inputs are multiplied group by group on a CPU: the products of all groups are
added in float32. It takes a third to a half of the time of widening the weights.
"""

from __future__ import annotations

__all__ = ["grouped_linear", "int8_linear", "prepare", "prepare_groups"]

from collections.abc import Mapping, Sequence
from typing import cast

import torch

from mixprec_doctor.kernels.portable import find_portable
from mixprec_doctor.records.format import Format
from mixprec_runtime.kernels.errors import UnpreparableWeight
from mixprec_runtime.kernels.weights import grouped_weight

LEAST_ROWS = 32  # _int_mm on CUDA refuses 16 rows and fewer
SMALLEST = 1e-12
GROUPS_NAME = "portable int8 groups"
GROUP_MULTIPLE = find_portable(GROUPS_NAME).group_multiple or 1


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


def prepare_groups(
    format: Format, tensors: Mapping[str, torch.Tensor], widths: Sequence[int], dtype: torch.dtype
) -> dict[str, torch.Tensor | int]:
    """State of ``grouped_linear``: codes ``[groups, out, group]`` around zero, scales and shifts ``[groups, out]``."""
    weight = grouped_weight(GROUPS_NAME, format, tensors, widths)
    if weight.index is not None or weight.group % GROUP_MULTIPLE or weight.codes.dtype.itemsize != 1 or weight.float4:
        raise UnpreparableWeight(
            GROUPS_NAME, format.name, f"groups of one size, a multiple of {GROUP_MULTIPLE}", f"groups of {weight.group}"
        )
    codes, middle = weight.codes, 0
    if codes.dtype is torch.uint8:
        codes, middle = (codes ^ 128).view(torch.int8), 128  # the same numbers less 128
    out, groups = weight.scales.shape
    scales = weight.scales.t().to(dtype).contiguous()
    state: dict[str, torch.Tensor | int] = {
        "codes": codes.view(out, groups, -1).transpose(0, 1).contiguous(),
        "scales": scales,
    }
    if weight.zeros is not None:
        state["shifts"] = (
            ((weight.zeros.t().to(torch.float32) - middle) * scales.to(torch.float32)).to(dtype).contiguous()
        )
    elif weight.zero != middle:
        raise UnpreparableWeight(GROUPS_NAME, format.name, f"zero points of {middle}", str(weight.zero))
    if weight.order is not None:
        state["order"] = weight.order.to(torch.int32)
    return state


def grouped_linear(x: torch.Tensor, state: Mapping[str, torch.Tensor | int]) -> torch.Tensor:
    """``x @ weight.T`` for x ``[rows, in]``, group by group."""
    codes, scales = cast("torch.Tensor", state["codes"]), cast("torch.Tensor", state["scales"])
    order, shifts = state.get("order"), state.get("shifts")
    if isinstance(order, torch.Tensor):
        x = x.index_select(-1, order)
    groups = x.view(x.shape[0], codes.shape[0], codes.shape[2]).transpose(0, 1).contiguous()
    out = torch.zeros(x.shape[0], codes.shape[1], dtype=torch.float32, device=x.device)
    for at in range(codes.shape[0]):
        out += torch.ops.aten._weight_int8pack_mm(groups[at], codes[at], scales[at])
    if isinstance(shifts, torch.Tensor):
        out -= groups.sum(dim=-1, dtype=torch.float32).t() @ shifts.to(torch.float32)
    return out.to(x.dtype)


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
