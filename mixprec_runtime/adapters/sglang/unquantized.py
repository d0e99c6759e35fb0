"""Where a release keeps its linear method for layers that are not quantized."""

from __future__ import annotations

__all__ = ["UnquantizedLinearMethod"]

try:
    from sglang.srt.layers.quantization.unquant import UnquantizedLinearMethod
except ImportError:  # before 0.4.8 it stands beside the layers
    from sglang.srt.layers.linear import UnquantizedLinearMethod
