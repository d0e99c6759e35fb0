"""8-bit weights, float8 or int8, widened tile by tile in the cache.

``weight = w8 * scale`` with one scale per tensor or per output channel (compressed-tensors "float-quantized" and
"int-quantized", strategies ``tensor`` and ``channel``, symmetric). Every value of float8 e4m3 and of int8 is exact in
BF16. Activations are left as they are: dynamic activation quantization belongs to kernels that multiply in 8 bits, and
leaving it out only takes an error away.
"""

from __future__ import annotations

__all__ = ["TILE", "per_channel", "w8_linear"]

import torch

TILE = 256
"""Output channels widened at a time: 256 x 4096 in BF16 is 2 MiB, which a core's cache holds."""


def per_channel(scale: torch.Tensor, widths: list[int]) -> torch.Tensor | None:
    """Scales as float32 ``[out]``: from one per channel, per fused part (``widths``), or one for all.

    None when the scales have none of these forms (block scales, say).
    """
    out, flat = sum(widths), scale.reshape(-1).to(torch.float32)
    if flat.numel() == out:
        return flat
    if flat.numel() == len(widths):
        return torch.repeat_interleave(flat, torch.tensor(widths, device=flat.device))
    return flat.expand(out).contiguous() if flat.numel() == 1 else None


def w8_linear(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """``x @ (weight * scale[:, None]).T + bias`` for x ``[..., in]``, weight ``[out, in]``, scale ``[out]``."""
    tiles = [torch.nn.functional.linear(x, weight[at : at + TILE].to(x.dtype)) for at in range(0, len(weight), TILE)]
    out = torch.cat(tiles, dim=-1) * scale.to(x.dtype)
    return out if bias is None else out + bias
