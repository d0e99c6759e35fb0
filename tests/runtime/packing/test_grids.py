"""Choosing the sixteen values of a group."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="packing needs torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mixprec_runtime.packing.errors import UnpackableShape  # noqa: E402
from mixprec_runtime.packing.grids import Shrink, encode, fit_grid, portable  # noqa: E402


def random_weight(rows: int, columns: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 0.1


@given(
    rows=st.integers(1, 6),
    groups=st.integers(1, 4),
    group_size=st.sampled_from([8, 32, 64]),
    symmetric=st.booleans(),
    seed=st.integers(0, 99),
)
def test_no_weight_is_rounded_by_more_than_a_step(
    rows: int, groups: int, group_size: int, symmetric: bool, seed: int
) -> None:
    weight = random_weight(rows, groups * group_size, seed)
    grid = fit_grid(weight, group_size=group_size, symmetric=symmetric)
    error = (encode(weight, grid).dequantized() - weight).abs()
    # Half a step, and at the ends of a range what the rounding of scale and zero point costs.
    assert bool((error <= grid.expanded()[0] * 1.05).all())


@given(exponent=st.floats(-19, 10), seed=st.integers(0, 99))
def test_scales_are_the_same_number_in_float16_and_bfloat16(exponent: float, seed: int) -> None:
    scales = portable(random_weight(4, 8, seed).abs() * 2.0**exponent)
    assert torch.equal(scales.to(torch.float16).to(torch.float32), scales)
    assert torch.equal(scales.to(torch.bfloat16).to(torch.float32), scales)
    assert bool((scales > 0).all())


def test_clipping_never_raises_the_weighted_error() -> None:
    weight, importance = random_weight(16, 128, 1), random_weight(1, 128, 2)[0].square()
    full = fit_grid(weight, group_size=64, symmetric=False)
    clipped = fit_grid(weight, group_size=64, symmetric=False, importance=importance, shrink=Shrink(steps=6, floor=0.7))

    def lost(grid: object) -> torch.Tensor:
        return ((encode(weight, grid).dequantized() - weight).square() * importance).reshape(16, 2, 64).sum(-1)

    assert bool((lost(clipped) <= lost(full)).all())
    assert float(lost(clipped).sum()) < 0.9 * float(lost(full).sum())


def test_a_group_of_zeros_stays_zero() -> None:
    for symmetric in (True, False):
        weight = torch.zeros(2, 64)
        grid = fit_grid(weight, group_size=64, symmetric=symmetric)
        assert torch.equal(encode(weight, grid).dequantized(), weight)


def test_inputs_that_are_no_multiple_of_the_group_are_refused() -> None:
    with pytest.raises(UnpackableShape, match="group size 64"):
        fit_grid(torch.zeros(2, 100), group_size=64, symmetric=True)
