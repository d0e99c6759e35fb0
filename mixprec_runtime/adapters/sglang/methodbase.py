"""Where a release keeps the base of its linear methods."""

from __future__ import annotations

__all__ = ["LinearMethodBase"]

try:
    from sglang.srt.layers.quantization.base_config import LinearMethodBase
except ImportError:  # earlier releases have it beside the layers
    from sglang.srt.layers.linear import LinearMethodBase
