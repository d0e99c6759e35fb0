"""FP8 weights through ``aten::_scaled_mm`` on GPUs that multiply in FP8 (``native/cuda/Blas.cpp``).

Each row of the input has its own scale (its largest magnitude over 448), or the checkpoint's one scale where its
activations are static. From capability 9.0 on the operator scales rows and columns itself, for BF16; elsewhere it
multiplies unscaled into float32, and the scales follow.
"""

from __future__ import annotations

__all__ = ["fp8_linear", "prepare"]

from collections.abc import Mapping, Sequence
from typing import cast

import torch

from mixprec_doctor.records.format import Activation, Format
from mixprec_runtime.kernels.errors import UnpreparableWeight
from mixprec_runtime.kernels.weights import grouped_weight

LARGEST = 448.0  # of float8_e4m3fn
SMALLEST = 1e-12
ROWWISE_CAPABILITY = (9, 0)


def prepare(
    format: Format, tensors: Mapping[str, torch.Tensor], widths: Sequence[int], dtype: torch.dtype
) -> dict[str, torch.Tensor | int]:
    """State of ``fp8_linear``: the weight as it is, a scale per output, and the inputs' scale where it is static."""
    weight = grouped_weight("portable fp8", format, tensors, widths)
    if weight.scales.shape[1] != 1 or weight.codes.dtype is not torch.float8_e4m3fn:
        raise UnpreparableWeight("portable fp8", format.name, "e4m3 with a scale per output", str(weight.codes.dtype))
    rowwise = dtype is torch.bfloat16 and torch.cuda.get_device_capability(weight.codes.device) >= ROWWISE_CAPABILITY
    state: dict[str, torch.Tensor | int] = {
        "codes": weight.codes.contiguous(),
        "scales": weight.scales.reshape(1, -1).contiguous(),
        "rowwise": int(rowwise),
    }
    if format.activation is Activation.STATIC:
        static = tensors["input_scale"] if "input_scale" in tensors else tensors.get("activation_scale")
        if static is None or not static.numel():
            raise UnpreparableWeight("portable fp8", format.name, "a tensor input_scale", ", ".join(sorted(tensors)))
        # Fused parts have their own; the largest clips none of them.
        state["input_scale"] = static.to(torch.float32).max().reshape(1, 1)
    return state


def fp8_linear(x: torch.Tensor, state: Mapping[str, torch.Tensor | int]) -> torch.Tensor:
    """``x @ (codes * scales).T`` for x ``[rows, in]``."""
    codes, scales = cast("torch.Tensor", state["codes"]), cast("torch.Tensor", state["scales"])
    static = state.get("input_scale")
    if not x.shape[0]:
        return x.new_empty(0, codes.shape[0])
    if isinstance(static, torch.Tensor):
        row_scales = static.expand(x.shape[0], 1).contiguous()
    else:
        row_scales = (x.abs().amax(dim=-1, keepdim=True).to(torch.float32) / LARGEST).clamp(min=SMALLEST)
    rounded = (x / row_scales).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
    if state["rowwise"]:
        out: torch.Tensor = torch.ops.aten._scaled_mm(
            rounded, codes.t(), row_scales, scales, out_dtype=x.dtype, use_fast_accum=True
        )
        return out
    one = torch.ones((), dtype=torch.float32, device=x.device)
    sums = torch.ops.aten._scaled_mm(rounded, codes.t(), one, one, out_dtype=torch.float32)
    return (sums * row_scales * scales).to(x.dtype)
