"""Portable float8: scales of each granularity, and the product of the widened weight."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mixprec_runtime.kernels.w8 import TILE, per_channel, w8_linear  # noqa: E402


@pytest.mark.parametrize("scale, wanted", [
    (torch.tensor(2.0), [2, 2, 2, 2, 2]),
    (torch.tensor([2.0]), [2, 2, 2, 2, 2]),
    (torch.tensor([2.0, 3.0]), [2, 2, 2, 3, 3]),
    (torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]]), [1, 2, 3, 4, 5]),
    (torch.ones(2, 2), None),
    (torch.ones(7), None),
])  # fmt: skip
def test_scales_become_one_per_channel(scale: object, wanted: list[float] | None) -> None:
    found = per_channel(scale, [3, 2])
    assert (None if found is None else found.tolist()) == wanted
    assert found is None or (found.dtype == torch.float32 and found.is_contiguous())


@pytest.mark.parametrize("out", [1, TILE - 1, TILE, TILE + 1])
@pytest.mark.parametrize("shape", [(16,), (3, 16), (2, 3, 16)])
def test_the_product_is_that_of_the_widened_weight(out: int, shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(3)
    weight = torch.randn(out, 16, generator=random).to(torch.float8_e4m3fn)
    scale, bias = torch.rand(out, generator=random) + 0.5, torch.randn(out, generator=random)
    x = torch.randn(shape, generator=random)
    wanted = x @ (weight.to(torch.float32) * scale[:, None]).t() + bias
    torch.testing.assert_close(w8_linear(x, weight, scale, bias), wanted)
    torch.testing.assert_close(w8_linear(x, weight, scale), wanted - bias)
    assert w8_linear(x.to(torch.bfloat16), weight, scale).dtype == torch.bfloat16
