"""Tiled widening: a tile of outputs is widened to the type of the inputs, in the cache, multiplied, and forgotten.

Takes every format, on every device. Compressed weights stay as they are but for their order: 4-bit codes lie two in a
byte (input ``i`` beside input ``i + in / 2``, so that both halves are written as they are read), 8-bit codes as they
are stored. On a CPU float8 e4m3 becomes BF16 by moving bits: torch's own conversion takes eight times as long.
"""

from __future__ import annotations

__all__ = ["TILE_BYTES", "prepare", "tile_rows", "tiled_linear"]

from collections.abc import Mapping, Sequence
from typing import cast

import torch

from mixprec_doctor.records.format import Format
from mixprec_runtime.kernels.weights import grouped_weight

State = dict[str, "torch.Tensor | int"]

TILE_BYTES: Mapping[str, int] = {"cpu": 2 << 20, "cuda": 16 << 20}
"""Bytes of a widened tile: what the second or third level of a CPU's cache holds, or a third of an H100's."""
STEP = 16  # rows of a tile are a multiple
BYTE, NIBBLES, FLOAT4 = 0, 1, 2  # how codes lie: one to a byte, two integers, two e2m1
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def prepare(format: Format, tensors: Mapping[str, torch.Tensor], widths: Sequence[int], dtype: torch.dtype) -> State:
    """State of ``tiled_linear`` for inputs of ``dtype``; tensors as in ``weights``."""
    weight = grouped_weight("portable tiles", format, tensors, widths)
    state: State = {"scales": _scales(weight.scales, dtype), "packing": BYTE, "zero": weight.zero}
    if weight.order is not None:
        state["order"] = weight.order.to(torch.int32)
    if weight.index is not None:
        state["index"] = weight.index.to(torch.int32)
    if weight.zeros is not None:
        state["zeros"] = weight.zeros
        state["zero"] = 0
    codes = weight.codes
    if codes.dtype is torch.uint8 and format.bits == 4 and weight.inputs % 2 == 0:
        half = weight.inputs // 2
        codes = codes[:, :half] | (codes[:, half:] << 4)
        state["packing"] = FLOAT4 if weight.float4 else NIBBLES
    if weight.float4:  # made here: a CUDA graph cannot take it from the CPU
        state["table"] = torch.tensor([*_E2M1, *(-value for value in _E2M1)], dtype=dtype, device=codes.device)
    elif codes.dtype is torch.uint8 and format.bits == 8 and weight.zeros is None:
        codes = (codes ^ 128).view(torch.int8)  # the same numbers less 128, and nothing left to subtract
        state["zero"] = 0
    state["codes"] = codes.contiguous()
    return state


def _scales(scales: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """In float32 where one scale serves all inputs (it multiplies results) and where float16 could not hold them."""
    narrow = dtype is torch.bfloat16 or scales.dtype is dtype
    return scales.to(dtype if narrow and scales.shape[1] > 1 else torch.float32).contiguous()


def tile_rows(out: int, inputs: int, *, itemsize: int, device: str) -> int:
    """Outputs per tile: as many as ``TILE_BYTES`` hold, but never all of a large layer's at once."""
    rows = TILE_BYTES.get(device, TILE_BYTES["cuda"]) // max(1, inputs * itemsize)
    rows = min(rows, -(-out // 2))
    return max(STEP, -(-rows // STEP) * STEP)


def tiled_linear(x: torch.Tensor, state: Mapping[str, torch.Tensor | int], bias: torch.Tensor | None) -> torch.Tensor:
    """``x @ weight.T + bias`` for x ``[rows, in]``."""
    codes, scales = _tensor(state, "codes"), _tensor(state, "scales")
    order = state.get("order")
    if isinstance(order, torch.Tensor):
        x = x.index_select(-1, order)
    # One scale per output multiplies the result, but for float16, which may not hold sums of codes.
    after = scales.shape[1] == 1 and "index" not in state and x.dtype is not torch.float16
    moved = after and x.dtype is torch.bfloat16 and _in_cpu_fp8(codes)
    if moved:  # what the exponents of moved bits lack is made good in the inputs and the result, not in each weight
        x = x * 2.0**64
    step = tile_rows(codes.shape[0], x.shape[-1], itemsize=x.element_size(), device=codes.device.type)
    tiles = []
    for at in range(0, codes.shape[0], step):
        rows = slice(at, at + step)
        tile = _moved(codes[rows]) if moved else _widened(state, rows, x.dtype, scaled=not after)
        tiles.append(torch.nn.functional.linear(x, tile))
    out = torch.cat(tiles, dim=-1) if len(tiles) > 1 else tiles[0]
    if after:
        out = (out * (scales[:, 0] * 2.0**56 if moved else scales[:, 0])).to(x.dtype)
    return out if bias is None else out + bias


def _widened(state: Mapping[str, torch.Tensor | int], rows: slice, dtype: torch.dtype, *, scaled: bool) -> torch.Tensor:
    """Weights of some outputs in ``dtype``; without their scale where that multiplies the result."""
    codes = _tensor(state, "codes")[rows]
    wide = _wide(state, codes, dtype)
    scales, zeros, index = _tensor(state, "scales")[rows], state.get("zeros"), state.get("index")
    if isinstance(index, torch.Tensor):
        scales = scales.index_select(1, index)
        if isinstance(zeros, torch.Tensor):
            wide = wide - zeros[rows].to(dtype).index_select(1, index)
        elif state["zero"]:
            wide = wide - state["zero"]
        return (wide * scales).to(dtype)
    grouped = wide.view(wide.shape[0], scales.shape[1], -1)
    if isinstance(zeros, torch.Tensor):
        grouped = grouped - zeros[rows].to(dtype).unsqueeze(-1)
    elif state["zero"]:
        grouped = grouped - state["zero"]
    if scaled:
        grouped = (grouped * scales.unsqueeze(-1)).to(dtype)
    return grouped.view(wide.shape)


def _wide(state: Mapping[str, torch.Tensor | int], codes: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    packing = state["packing"]
    if packing == BYTE:
        if _in_cpu_fp8(codes):
            return (_moved(codes) * 2.0**120).to(dtype)
        return codes.to(dtype)
    nibbles = torch.cat([codes & 15, codes >> 4], dim=-1)
    if packing == NIBBLES:
        return nibbles.to(dtype)
    return _tensor(state, "table").index_select(0, nibbles.view(-1).to(torch.int32)).view(nibbles.shape)


def _in_cpu_fp8(codes: torch.Tensor) -> bool:
    return codes.dtype is torch.float8_e4m3fn and codes.device.type == "cpu"


def _moved(codes: torch.Tensor) -> torch.Tensor:
    """BF16 of float8 e4m3, exact but for a factor of 2 ** -120: sign, exponent and mantissa moved to BF16's places.

    Bits 6 to 0 go to bits 10 to 4, the sign to bit 15; BF16's bias is 120 larger. Not-a-number becomes 480.
    """
    bits = codes.view(torch.int8).to(torch.int16)
    return ((bits << 4) & -30736).view(torch.bfloat16)


def _tensor(state: Mapping[str, torch.Tensor | int], name: str) -> torch.Tensor:
    return cast("torch.Tensor", state[name])
