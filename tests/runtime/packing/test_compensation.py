"""Error-compensated rounding: better than rounding where inputs are correlated, the same where they are not."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="packing needs torch")

from mixprec_runtime.packing.compensation import compensate, hessian  # noqa: E402
from mixprec_runtime.packing.grids import encode, fit_grid  # noqa: E402


def problem(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight [48, 128], and correlated activations [1024, 128] of very different sizes."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(128, 128, generator=random) * torch.logspace(0, -2, 128)
    return torch.randn(48, 128, generator=random), torch.randn(1024, 128, generator=random) @ mixing


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_output_error_is_at_most_half_of_plain_rounding(symmetric: bool) -> None:
    weight, inputs = problem()
    grid = fit_grid(weight, group_size=64, symmetric=symmetric)
    plain = encode(weight, grid).dequantized()
    better = compensate(weight, grid, hessian(inputs), damping=0.01).dequantized()

    def lost(rounded: torch.Tensor) -> float:
        return float((inputs @ (rounded - weight).t()).square().mean())

    assert lost(better) < 0.5 * lost(plain)


def test_without_correlation_it_is_plain_rounding() -> None:
    weight, _ = problem()
    grid = fit_grid(weight, group_size=64, symmetric=True)
    moments = torch.diag(torch.rand(128, generator=torch.Generator().manual_seed(1)) + 0.1)
    assert torch.equal(compensate(weight, grid, moments, damping=0.0).codes, encode(weight, grid).codes)


def test_the_blockwise_form_follows_the_definition() -> None:
    # Algorithm 1 of the paper without blocks: one input after another, most active first.
    weight, inputs = problem(3)
    grid = fit_grid(weight, group_size=64, symmetric=False)
    moments = hessian(inputs).to(torch.float64)
    moments.diagonal().add_(0.01 * moments.diagonal().mean())
    order = torch.argsort(hessian(inputs).diagonal(), descending=True)
    factor = torch.linalg.cholesky(torch.linalg.inv(moments[order][:, order]), upper=True)
    scales, zeros = (each[:, order].to(torch.float64) for each in grid.expanded())
    left, expected = weight[:, order].to(torch.float64), torch.zeros(48, 128, dtype=torch.float64)
    for i in range(128):
        expected[:, i] = (torch.round(left[:, i] / scales[:, i]) + zeros[:, i]).clamp(0, 15)
        error = (left[:, i] - (expected[:, i] - zeros[:, i]) * scales[:, i]) / factor[i, i]
        left[:, i + 1 :] -= torch.outer(error, factor[i, i + 1 :])
    found = compensate(weight, grid, hessian(inputs), damping=0.01).codes[:, order]
    # float32 against float64: a value halfway between two codes may fall either way, and what follows it shifts.
    assert float((found != expected).to(torch.float32).mean()) < 0.02


def test_inputs_that_are_never_active_do_no_harm() -> None:
    weight, inputs = problem()
    inputs[:, 5] = 0
    grid = fit_grid(weight, group_size=64, symmetric=True)
    rounded = compensate(weight, grid, hessian(inputs), damping=0.01).dequantized()
    assert bool(torch.isfinite(rounded).all())
    assert bool((rounded[:, 5] == 0).all())


def test_activations_that_are_not_finite_are_refused() -> None:
    weight, inputs = problem()
    inputs[0, 0] = torch.inf
    grid = fit_grid(weight, group_size=64, symmetric=True)
    with pytest.raises(ArithmeticError, match="finite"):
        compensate(weight, grid, hessian(inputs), damping=0.01)
