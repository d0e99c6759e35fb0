"""Error-compensated rounding: GPTQ (Frantar, Ashkboos, Hoefler, Alistarh 2022, arXiv:2210.17323, algorithm 1).

Inputs are rounded one after another; the error of each is made up for by the inputs that are still to come, by the
inverse Hessian of the layer's squared output error. Grids are fixed beforehand ("static groups"), so that the order
of rounding, most active input first ("act-order"), leaves the layout in its natural order.
"""

from __future__ import annotations

__all__ = ["compensate", "hessian"]

import torch

from mixprec_runtime.packing.grids import MAX_CODE, CodedLinear, Grid

_BLOCK = 32  # inputs whose errors are gathered before they are passed on to all later ones


def hessian(activations: torch.Tensor) -> torch.Tensor:
    """``2 X^T X / tokens`` of the inputs of a layer, ``[tokens, in]`` to float32 ``[in, in]``."""
    inputs = activations.reshape(-1, activations.shape[-1]).to(torch.float32)
    return inputs.t() @ inputs * (2.0 / inputs.shape[0])


def compensate(weight: torch.Tensor, grid: Grid, second_moments: torch.Tensor, *, damping: float) -> CodedLinear:
    """Round ``weight`` ``[out, in]`` to the values of ``grid`` with compensation.

    ``second_moments`` is the layer's ``hessian``, ``[in, in]``; ``damping`` is the share of its mean diagonal
    that is added to the diagonal before it is inverted (the paper takes 0.01).
    """
    moments = second_moments.clone()
    diagonal = moments.diagonal()
    silent = diagonal == 0  # inputs that were never active: any value will do
    diagonal[silent] = 1.0
    order = torch.argsort(diagonal, descending=True)
    back = torch.argsort(order)
    moments = moments[order][:, order]
    moments.diagonal().add_(damping * float(diagonal.mean()))
    factor = _inverse_factor(moments)
    scales, zeros = (each[:, order].contiguous() for each in grid.expanded())
    # Columns lie contiguous in memory when the matrix is held transposed.
    remaining = weight.to(torch.float32)[:, order].t().contiguous()
    scales, zeros = scales.t().contiguous(), zeros.t().contiguous()
    remaining[silent[order]] = 0.0
    codes = torch.empty_like(remaining)
    for start in range(0, remaining.shape[0], _BLOCK):
        stop = min(start + _BLOCK, remaining.shape[0])
        errors = _round_block(remaining, codes, scales, zeros, factor, start, stop)
        remaining[stop:].addmm_(factor[start:stop, stop:].t(), errors, alpha=-1)
    return CodedLinear(codes=codes.t()[:, back].to(torch.uint8).contiguous(), grid=grid)


def _round_block(
    remaining: torch.Tensor,
    codes: torch.Tensor,
    scales: torch.Tensor,
    zeros: torch.Tensor,
    factor: torch.Tensor,
    start: int,
    stop: int,
) -> torch.Tensor:
    """Round the inputs ``start`` to ``stop``, in place; returns their errors ``[stop - start, out]``."""
    errors = torch.empty_like(remaining[start:stop])
    for position in range(start, stop):
        column = remaining[position]
        code = (column / scales[position]).round_().add_(zeros[position]).clamp_(0, MAX_CODE)
        codes[position] = code
        error = (column - (code - zeros[position]) * scales[position]) / factor[position, position]
        errors[position - start] = error
        remaining[position + 1 : stop].addr_(factor[position, position + 1 : stop], error, alpha=-1)
    return errors


def _inverse_factor(moments: torch.Tensor) -> torch.Tensor:
    """The upper triangular ``U`` with ``U^T U`` the inverse of ``moments``; float64 where float32 is not enough.

    Reversed in both directions, ``moments`` has the Cholesky factor ``L``; reversed back, ``L`` is an upper ``R``
    with ``R R^T = moments``, and ``U`` is the inverse of ``R``: one factorization and no inverse of the whole.
    """
    for precision in (torch.float32, torch.float64):
        lower, failed = torch.linalg.cholesky_ex(moments.to(precision).flip(0, 1))
        if not int(failed):
            unit = torch.eye(lower.shape[0], dtype=precision)
            inverse = torch.linalg.solve_triangular(lower, unit, upper=False)
            return inverse.flip(0, 1).to(torch.float32).contiguous()
    raise ArithmeticError("the Hessian of a layer has no Cholesky factor: are its activations finite?")
