"""Weights of one layer in one form for all formats: a code per weight, scales and zero points per group of inputs.

Tensors are taken by the last part of their names, fused along the outputs as engines hold them once they are loaded:

* GPTQ: ``qweight`` int32 ``[in * bits / 32, out]``, ``qzeros`` int32 ``[groups, out * bits / 32]``, ``scales``
  ``[groups, out]``, ``g_idx`` int32 ``[in]`` (may be left out or empty where it is in order);
* AWQ: ``qweight`` int32 ``[in, out * bits / 32]``, ``qzeros`` and ``scales`` as above;
* FP8, INT8: ``weight`` ``[out, in]``, ``weight_scale`` or ``weight_scale_inv``: one number, one per fused part, one per
  output (``[out]`` or ``[out, 1]``), or blocks; INT8 may have a ``weight_zero_point`` of the same shape;
* PACKED: ``weight_packed`` int32 ``[out, in * bits / 32]``, ``weight_scale`` ``[out, groups]``, ``weight_zero_point``
  int32 ``[out * bits / 32, groups]``, ``weight_g_idx`` int32 ``[in]``;
* NVFP4: ``weight_packed`` or ``weight`` uint8 ``[out, in / 2]``, ``weight_scale`` float8 ``[out, in / 16]``, and
  ``weight_global_scale`` (compressed-tensors, divides) or ``weight_scale_2`` (ModelOpt, multiplies), one per part;
* MXFP4: ``weight_packed`` or ``weight`` uint8 ``[out, in / 2]``, ``weight_scale`` uint8 ``[out, in / 32]``.

An empty tensor counts as left out. What a format has no use for is not looked at.
"""

from __future__ import annotations

__all__ = ["GroupedWeight", "channel_scales", "grouped_weight"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd

import torch

from mixprec_doctor.kernels.portable import KNOWN_VARIANTS
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.kernels.errors import UnpreparableWeight
from mixprec_runtime.kernels.words import AWQ_ORDER, AWQ_ORDER_OF_BYTES, unpack_columns, unpack_rows

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class GroupedWeight:
    """``(code - zero) * scale``, a scale per output and group of inputs.

    ``codes`` ``[out, in]``: uint8, int8 or float8, or uint8 that stands for e2m1 where ``float4`` is set. ``scales``
    and ``zeros`` ``[out, groups]``; without ``zeros`` the zero point is ``zero``. ``order``: codes stand in the order
    ``x[:, order]``. ``index`` ``[in]``: the group of each input, where groups are not neighbours of one number.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None = None
    zero: int = 0
    order: torch.Tensor | None = None
    index: torch.Tensor | None = None
    float4: bool = False

    @property
    def inputs(self) -> int:
        """Inputs of the layer."""
        return int(self.codes.shape[1])

    @property
    def group(self) -> int:
        """Inputs per scale; meaningless where ``index`` is set."""
        return self.inputs // int(self.scales.shape[1])


def grouped_weight(kernel: str, format: Format, tensors: Tensors, widths: Sequence[int]) -> GroupedWeight:
    """The weight that a layer's tensors hold; ``widths`` are the outputs of its fused parts.

    Raises UnpreparableWeight, in ``kernel``'s name, for tensors that are missing or do not fit each other.
    """
    present = {name: tensor for name, tensor in tensors.items() if tensor.numel()}
    if format.variant not in KNOWN_VARIANTS:
        raise UnpreparableWeight(kernel, format.name, "a variant of it that is known", str(format.variant))
    try:
        weight = _READERS[format.kind](format, present, widths)
    except KeyError as missing:
        found = ", ".join(sorted(present)) or "no tensor"
        raise UnpreparableWeight(kernel, format.name, f"a tensor {missing.args[0]}", found) from None
    except (RuntimeError, ValueError) as fault:
        found = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in sorted(present.items()))
        raise UnpreparableWeight(kernel, format.name, f"tensors that fit each other ({fault})", found) from fault
    out = sum(widths)
    if weight.codes.shape[0] != out or weight.scales.shape[0] != out:
        shapes = f"{list(weight.codes.shape)} with scales {list(weight.scales.shape)}"
        raise UnpreparableWeight(kernel, format.name, f"{out} outputs", shapes)
    return weight


def channel_scales(scale: torch.Tensor, widths: Sequence[int]) -> torch.Tensor | None:
    """Scales as float32 ``[out]``: from one per channel, per fused part, or one for all; None: of no such form."""
    out, flat = sum(widths), scale.reshape(-1).to(torch.float32)
    if flat.numel() == out:
        return flat
    if flat.numel() == len(widths):
        return torch.repeat_interleave(flat, torch.tensor(list(widths), device=flat.device))
    return flat.expand(out).contiguous() if flat.numel() == 1 else None


def _gptq(format: Format, tensors: Tensors, _widths: Sequence[int]) -> GroupedWeight:
    codes = unpack_rows(tensors["qweight"], format.bits).t().contiguous()
    zeros = None
    if not format.symmetric:
        offset = 0 if format.variant == "gptq_v2" else 1  # AutoGPTQ stores zero points minus one
        stored = unpack_columns(tensors["qzeros"], bits=format.bits)
        zeros = ((stored + offset) & ((1 << format.bits) - 1)).t().contiguous()
    weight = GroupedWeight(
        codes=codes, scales=tensors["scales"].t().contiguous(), zeros=zeros, zero=1 << (format.bits - 1)
    )
    return _ordered(weight, tensors.get("g_idx"))


def _awq(format: Format, tensors: Tensors, _widths: Sequence[int]) -> GroupedWeight:
    order = AWQ_ORDER if format.bits == 4 else AWQ_ORDER_OF_BYTES
    return GroupedWeight(
        codes=unpack_columns(tensors["qweight"], order, bits=format.bits).t().contiguous(),
        scales=tensors["scales"].t().contiguous(),
        zeros=unpack_columns(tensors["qzeros"], order, bits=format.bits).t().contiguous(),
    )


def _packed(format: Format, tensors: Tensors, _widths: Sequence[int]) -> GroupedWeight:
    stored = tensors.get("weight_zero_point") if not format.symmetric else None
    weight = GroupedWeight(
        codes=unpack_columns(tensors["weight_packed"], bits=format.bits),
        scales=tensors["weight_scale"],
        zeros=None if stored is None else unpack_rows(stored, format.bits).contiguous(),
        zero=1 << (format.bits - 1),  # codes are signed numbers plus this; so are zero points
    )
    return _ordered(weight, tensors.get("weight_g_idx"))


def _ordered(weight: GroupedWeight, g_idx: torch.Tensor | None) -> GroupedWeight:
    """Inputs sorted by group where that makes groups of one size; else the index of each input's group."""
    if g_idx is None:
        return weight
    groups = g_idx.to(torch.int64)
    in_order = torch.arange(weight.inputs, device=groups.device) // weight.group
    if torch.equal(groups, in_order):
        return weight
    sorted_groups, order = torch.sort(groups, stable=True)
    if torch.equal(sorted_groups, in_order):
        return replace(weight, codes=weight.codes[:, order].contiguous(), order=order)
    if int(groups.min()) < 0 or int(groups.max()) >= weight.scales.shape[1]:
        raise ValueError("g_idx names groups that have no scale")
    return replace(weight, index=groups)


def _whole(format: Format, tensors: Tensors, widths: Sequence[int]) -> GroupedWeight:
    weight = tensors["weight"]
    scale = tensors["weight_scale_inv"] if "weight_scale_inv" in tensors else tensors.get("weight_scale")
    zeros = tensors.get("weight_zero_point")
    if scale is None:
        return GroupedWeight(codes=weight, scales=torch.ones(sum(widths), 1, device=weight.device))
    if format.scale == "block":
        if format.block is None:
            raise ValueError("blocks of unknown size")
        return _blocks(weight, scale.to(torch.float32), widths, format.block)
    scales = channel_scales(scale, widths)
    if scales is None:
        raise ValueError("scales per tensor or channel")
    expanded = None if zeros is None else channel_scales(zeros, widths)
    return GroupedWeight(
        codes=weight, scales=scales[:, None], zeros=None if expanded is None else expanded.to(torch.int16)[:, None]
    )


def _blocks(weight: torch.Tensor, scale: torch.Tensor, widths: Sequence[int], block: tuple[int, int]) -> GroupedWeight:
    """Block scales repeated along the outputs; blocks start anew with every fused part that has rows of its own."""
    high, wide = block
    if scale.shape[0] == sum(-(-width // high) for width in widths):
        starts, rows = 0, []
        for width in widths:
            rows.append(starts + torch.arange(width, device=scale.device) // high)
            starts += -(-width // high)
        row = torch.cat(rows)
    else:
        row = torch.arange(weight.shape[0], device=scale.device) // high
    inputs = weight.shape[1]
    if scale.shape[1] != -(-inputs // wide) or int(row[-1]) >= scale.shape[0]:
        raise ValueError(f"a scale per block of {high}x{wide}")
    group = gcd(wide, inputs)  # the last block may be smaller: groups that make up both, with scales repeated
    repeated = scale[row].repeat_interleave(wide // group, dim=1)[:, : inputs // group]
    return GroupedWeight(codes=weight, scales=repeated.contiguous())


def _float4(format: Format, tensors: Tensors, widths: Sequence[int]) -> GroupedWeight:
    packed = tensors["weight_packed"] if "weight_packed" in tensors else tensors["weight"]
    stored = tensors["weight_scale"]
    if format.kind is FormatKind.MXFP4:
        scales = torch.exp2(stored.view(torch.uint8).to(torch.float32) - 127.0)
    else:
        scales = stored.to(torch.float32)
        if "weight_scale_2" in tensors:
            scales = scales * _per_output(tensors["weight_scale_2"], widths)
        elif "weight_global_scale" in tensors:
            scales = scales / _per_output(tensors["weight_global_scale"], widths)
    codes = torch.stack([packed & 15, packed >> 4], dim=-1).reshape(packed.shape[0], -1)
    return GroupedWeight(codes=codes, scales=scales, float4=True)


def _per_output(scale: torch.Tensor, widths: Sequence[int]) -> torch.Tensor:
    found = channel_scales(scale, widths)
    if found is None:
        raise ValueError("one global scale, or one per part")
    return found[:, None]


_READERS = {
    FormatKind.GPTQ: _gptq,
    FormatKind.AWQ: _awq,
    FormatKind.PACKED: _packed,
    FormatKind.FP8: _whole,
    FormatKind.INT8: _whole,
    FormatKind.NVFP4: _float4,
    FormatKind.MXFP4: _float4,
}
