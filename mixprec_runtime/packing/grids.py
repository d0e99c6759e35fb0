"""Grids: the sixteen values that a group of weights may take, and which sixteen to choose.

A weight matrix is held as ``torch.nn.Linear`` holds it, ``[out, in]``; a group is ``group_size`` neighbours of one row.
The value of code ``q`` is ``scale * (q - zero)``.

Scales are rounded to numbers that float16 *and* bfloat16 hold exactly. Both layouts store float16, an engine
that serves in bfloat16 converts them when it loads; so the served weights are the same numbers in either.
"""

from __future__ import annotations

__all__ = ["MAX_CODE", "SYMMETRIC_ZERO", "CodedLinear", "Grid", "Shrink", "encode", "fit_grid", "portable"]

from dataclasses import dataclass

import torch

from mixprec_runtime.packing.errors import UnpackableShape

MAX_CODE = 15
SYMMETRIC_ZERO = 8
_SMALLEST_SCALE = 2.0**-20  # of a group that is all zeros; float16 holds it


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Scales and zero points, ``[out, groups]`` each: float32, and integers 0 to 15."""

    scales: torch.Tensor
    zeros: torch.Tensor
    group_size: int

    def expanded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and zero point of every weight: two float32 matrices ``[out, in]``."""
        scales = self.scales.repeat_interleave(self.group_size, dim=1)
        return scales, self.zeros.to(torch.float32).repeat_interleave(self.group_size, dim=1)


@dataclass(frozen=True, kw_only=True)
class CodedLinear:
    """A quantized linear layer before it is laid out: uint8 codes ``[out, in]`` and their grid."""

    codes: torch.Tensor
    grid: Grid

    def dequantized(self) -> torch.Tensor:
        """The weights that the codes stand for, float32 ``[out, in]``."""
        scales, zeros = self.grid.expanded()
        return (self.codes.to(torch.float32) - zeros) * scales


@dataclass(frozen=True, kw_only=True)
class Shrink:
    """How far the range of a group may be clipped: ``steps`` trials from the full range down to ``floor`` of it."""

    steps: int
    floor: float

    def factors(self) -> list[float]:
        """The trials, the full range first."""
        return [1.0 - (1.0 - self.floor) * step / self.steps for step in range(self.steps + 1)]


def portable(scales: torch.Tensor) -> torch.Tensor:
    """The nearest scales that float16 and bfloat16 both hold exactly, as float32."""
    return scales.clamp(min=_SMALLEST_SCALE).to(torch.bfloat16).to(torch.float16).to(torch.float32)


def encode(weight: torch.Tensor, grid: Grid) -> CodedLinear:
    """Round every weight ``[out, in]`` to the nearest value of its group's grid."""
    scales, zeros = grid.expanded()
    codes = (torch.round(weight.to(torch.float32) / scales) + zeros).clamp(0, MAX_CODE)
    return CodedLinear(codes=codes.to(torch.uint8), grid=grid)


def fit_grid(
    weight: torch.Tensor,
    *,
    group_size: int,
    symmetric: bool,
    importance: torch.Tensor | None = None,
    shrink: Shrink | None = None,
) -> Grid:
    """Choose scales and zero points for a weight matrix ``[out, in]``.

    Without ``shrink`` the grid spans the range of the group (round to nearest). With it, each group takes the
    trial whose squared rounding error is least, every input weighted by its ``importance`` ``[in]``: the mean
    square of the activation that meets it, so that the error counted is that of the layer's output.
    Raises UnpackableShape where ``in`` is not a multiple of the group size.
    """
    rows, columns = weight.shape
    if columns % group_size:
        raise UnpackableShape("weight", weight.shape, f"a multiple of the group size {group_size} as inputs")
    groups = weight.to(torch.float32).reshape(rows, -1, group_size)
    low, high = groups.amin(dim=-1).clamp(max=0), groups.amax(dim=-1).clamp(min=0)
    weights = torch.ones(columns) if importance is None else importance.to(torch.float32)
    weights = weights.reshape(1, -1, group_size)
    best_error = torch.full(low.shape, torch.inf)
    best_scales, best_zeros = torch.ones_like(low), torch.zeros_like(low)
    for factor in (1.0,) if shrink is None else shrink.factors():
        scales, zeros = _span(low * factor, high * factor, symmetric=symmetric)
        codes = (torch.round(groups / scales.unsqueeze(-1)) + zeros.unsqueeze(-1)).clamp_(0, MAX_CODE)
        rounded = (codes - zeros.unsqueeze(-1)) * scales.unsqueeze(-1)
        error = ((rounded - groups) ** 2 * weights).sum(dim=-1)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_scales = torch.where(better, scales, best_scales)
        best_zeros = torch.where(better, zeros, best_zeros)
    return Grid(scales=best_scales, zeros=best_zeros.to(torch.uint8), group_size=group_size)


def _span(low: torch.Tensor, high: torch.Tensor, *, symmetric: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and zero point of grids from ``low`` (<= 0) to ``high`` (>= 0)."""
    if symmetric:
        scales = portable(2 * torch.maximum(-low, high) / MAX_CODE)
        return scales, torch.full_like(scales, SYMMETRIC_ZERO)
    scales = portable((high - low) / MAX_CODE)
    return scales, torch.round(-low / scales).clamp(0, MAX_CODE)
