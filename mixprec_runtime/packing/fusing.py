"""Fusing: the parts of a layer (q, k and v; gate and up) as one set of tensors, as engines hold them once loaded."""

from __future__ import annotations

__all__ = ["fused_layer"]

from collections.abc import Mapping, Sequence

import torch

_OF_THE_INPUTS = frozenset({"g_idx", "weight_g_idx"})  # the parts of a layer share it
_PER_PART = frozenset({"weight_shape"})
_OUTPUTS_LAST = frozenset({"qweight", "qzeros", "scales"})


def fused_layer(parts: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """One layer of all parts, along the outputs; numbers that a part has one of become one entry per part."""
    fused = {}
    for name in parts[0]:
        tensors = [part[name] for part in parts]
        if name in _OF_THE_INPUTS or name in _PER_PART:
            fused[name] = tensors[0]
        elif tensors[0].dim() < 2 and tensors[0].numel() == 1:
            fused[name] = torch.cat([tensor.reshape(1) for tensor in tensors])
        else:
            fused[name] = torch.cat(tensors, dim=1 if name in _OUTPUTS_LAST else 0)
    return fused
