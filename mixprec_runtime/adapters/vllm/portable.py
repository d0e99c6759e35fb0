"""mixprec's portable kernels behind the engine's linear-method interface.

Creating weights, and with it loading and tensor parallelism, stays the engine's. Only what comes after loading, and
applying, is replaced; and only on the methods that ``MixprecConfig`` handed out for layers whose own kernel failed.
"""

from __future__ import annotations

__all__ = ["PORTABLE", "portable_class"]

from collections.abc import Mapping

import torch
from torch.nn import Parameter

from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.kernels.int4 import GROUPS, from_awq, from_gptq, int4_linear
from mixprec_runtime.kernels.w8 import per_channel, w8_linear


class PortableInt4:
    """GPTQ and AWQ weights through PyTorch's int4 matrix product."""

    mixprec_kernel = "portable int4"
    mixprec_kind: FormatKind

    def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
        """Repack the engine's parameters into the operator's order and drop them."""
        dtype = layer.scales.dtype
        if self.mixprec_kind is FormatKind.AWQ:
            weight = from_awq(layer.qweight.data, layer.scales.data, layer.qzeros.data, dtype)
        else:
            symmetric = getattr(getattr(self, "quant_config", None), "is_sym", True)
            zeros = None if symmetric else layer.qzeros.data
            weight = from_gptq(layer.qweight.data, layer.scales.data, zeros, dtype)
        if weight.group not in GROUPS:
            raise ValueError(f"the portable int4 kernel has groups of {sorted(GROUPS)}, not of {weight.group}")
        for name in ("qweight", "qzeros", "scales", "g_idx"):
            if hasattr(layer, name):
                delattr(layer, name)
        layer.mixprec_packed = Parameter(weight.packed, requires_grad=False)
        layer.mixprec_scales_and_zeros = Parameter(weight.scales_and_zeros, requires_grad=False)
        layer.mixprec_group = weight.group

    def apply(self, layer: torch.nn.Module, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """``x @ weight.T + bias``."""
        return int4_linear(x, layer.mixprec_packed, layer.mixprec_scales_and_zeros, layer.mixprec_group, bias)


class PortableW8:
    """8-bit weights per tensor or channel, widened in tiles; parameters stay as they were loaded."""

    mixprec_kernel = "portable w8"
    mixprec_kind: FormatKind

    def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
        """Bring the scales into one per channel."""
        scale = per_channel(layer.weight_scale.data, list(layer.logical_widths))
        if scale is None:
            raise ValueError(f"the portable 8-bit kernel has no scales of shape {list(layer.weight_scale.shape)}")
        layer.weight_scale = Parameter(scale, requires_grad=False)

    def apply(self, layer: torch.nn.Module, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """``x @ weight.T + bias``."""
        return w8_linear(x, layer.weight, layer.weight_scale, bias)


PORTABLE: Mapping[FormatKind, type] = {
    FormatKind.GPTQ: PortableInt4,
    FormatKind.AWQ: PortableInt4,
    FormatKind.FP8: PortableW8,
    FormatKind.INT8: PortableW8,
}
"""Formats that have a portable kernel (on a CPU)."""


def portable_class(method: type, kind: FormatKind) -> type | None:
    """A subclass of the engine's method class that applies portably; None where mixprec has no kernel.

    It has the name of the engine's class: engines pick weight loaders by the name of a method's class.
    """
    portable = PORTABLE.get(kind)
    if portable is None or torch.get_default_device().type != "cpu":
        return None
    members = {name: value for name, value in vars(portable).items() if not name.startswith("__")}
    # One base only: Python lets an object change its class to a subclass of the same layout, and no other.
    return type(method.__name__, (method,), {**members, "mixprec_kind": kind})
