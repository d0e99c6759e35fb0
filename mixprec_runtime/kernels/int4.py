"""4-bit weights through PyTorch's own int4 matrix products.

On a CPU ``aten::_weight_int4pack_mm_for_cpu`` (``native/cpu/int4mm_kernel.cpp``), its weight packed by
``_convert_weight_to_int4pack_for_cpu`` from values 0..15 in ``[out, in]``; on CUDA ``aten::_weight_int4pack_mm``
(``native/cuda/int4mm.cu``), packed by ``_convert_weight_to_int4pack`` from bytes that hold two neighbouring inputs, the
first in the upper half. Both compute with ``(q - 8) * scale + zero`` where ``scales_and_zeros`` is
``[in / group, out, 2]``. A checkpoint's ``(q - z) * scale`` is that with ``zero = (8 - z) * scale``. Groups that the
operators do not know are made of smaller ones with the same scale.
"""

from __future__ import annotations

__all__ = ["apply", "prepare"]

from collections.abc import Mapping, Sequence

import torch

from mixprec_doctor.kernels.portable import int4_group
from mixprec_doctor.records.format import Format
from mixprec_runtime.kernels.errors import UnpreparableWeight
from mixprec_runtime.kernels.weights import GroupedWeight, grouped_weight

CHUNK = 1024  # outputs that are packed at a time: the CPU's operator wants them in int32
NAME = "portable int4"


def prepare(
    format: Format, tensors: Mapping[str, torch.Tensor], widths: Sequence[int], dtype: torch.dtype
) -> dict[str, torch.Tensor | int]:
    """State of ``apply``: 4 bits a weight, and a scale and a shift per group in ``dtype``."""
    weight = grouped_weight(NAME, format, tensors, widths)
    group = int4_group(weight.group, weight.inputs)
    if weight.index is not None or group is None:
        found = f"groups of {weight.group} inputs" if weight.index is None else "inputs in no order of groups"
        raise UnpreparableWeight(NAME, format.name, "groups of one size of 32 inputs or more", found)
    state: dict[str, torch.Tensor | int] = {
        "packed": _packed(weight.codes),
        "scales_and_zeros": _scales_and_zeros(weight, group, dtype),
        "group": group,
    }
    if weight.order is not None:
        state["order"] = weight.order.to(torch.int32)
    return state


def _packed(codes: torch.Tensor) -> torch.Tensor:
    if codes.device.type == "cpu":
        convert = torch.ops.aten._convert_weight_to_int4pack_for_cpu
        chunks = [convert(codes[at : at + CHUNK].to(torch.int32), 1) for at in range(0, codes.shape[0], CHUNK)]
        return torch.cat(chunks)
    pairs = (codes[:, ::2] << 4) | codes[:, 1::2]
    tiles = next(count for count in (8, 4, 2) if codes.shape[1] % (16 * count) == 0)
    packed: torch.Tensor = torch.ops.aten._convert_weight_to_int4pack(pairs.contiguous(), tiles)
    return packed


def _scales_and_zeros(weight: GroupedWeight, group: int, dtype: torch.dtype) -> torch.Tensor:
    scales = weight.scales.to(torch.float32)
    zeros = torch.full_like(scales, float(weight.zero)) if weight.zeros is None else weight.zeros.to(torch.float32)
    both = torch.stack([scales, (8.0 - zeros) * scales], dim=-1)  # [out, groups, 2]
    both = both.repeat_interleave(weight.group // group, dim=1)
    return both.transpose(0, 1).to(dtype).contiguous()


def apply(x: torch.Tensor, state: Mapping[str, torch.Tensor | int]) -> torch.Tensor:
    """``x @ weight.T`` for x ``[rows, in]``; the weight is never dequantized as a whole."""
    order, group = state.get("order"), state["group"]
    if isinstance(order, torch.Tensor):
        x = x.index_select(-1, order)
    if x.device.type == "cpu":
        multiply = torch.ops.aten._weight_int4pack_mm_for_cpu
    elif not x.shape[0]:
        return x.new_empty(0, state["scales_and_zeros"].shape[1])  # type: ignore[union-attr]
    else:
        multiply = torch.ops.aten._weight_int4pack_mm
    out: torch.Tensor = multiply(x.contiguous(), state["packed"], group, state["scales_and_zeros"])
    return out
