"""Portable int4: unpacking turns packing round, and the product is that of the dequantized weight."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mixprec_runtime.kernels.int4 import (  # noqa: E402
    AWQ_ORDER,
    GROUPS,
    from_awq,
    from_gptq,
    int4_linear,
    unpack_columns,
    unpack_rows,
)

OUT, IN = 32, 128


def word(values: list[int]) -> int:
    """Eight values as one int32, the first in the lowest bits."""
    found = sum(value << (4 * at) for at, value in enumerate(values))
    return found - (1 << 32) if found >= 1 << 31 else found


def pack_rows(values: object) -> object:
    rows, columns = values.shape
    words = [[word(values[r : r + 8, c].tolist()) for c in range(columns)] for r in range(0, rows, 8)]
    return torch.tensor(words, dtype=torch.int32)


def pack_columns(values: object, order: tuple[int, ...]) -> object:
    rows, columns = values.shape
    words = [
        [word([values[r, c + order.index(position)].item() for position in range(8)]) for c in range(0, columns, 8)]
        for r in range(rows)
    ]
    return torch.tensor(words, dtype=torch.int32)


matrices = st.integers(1, 3).flatmap(
    lambda columns: st.lists(st.lists(st.integers(0, 15), min_size=8, max_size=8), min_size=columns, max_size=columns)
)


@settings(max_examples=60, deadline=None)
@given(matrices)
def test_unpacked_rows_are_what_was_packed(columns: list[list[int]]) -> None:
    values = torch.tensor(columns).t()
    assert unpack_rows(pack_rows(values)).equal(values.to(torch.int32))


@settings(max_examples=60, deadline=None)
@given(matrices, st.permutations(range(8)))
def test_unpacked_columns_are_what_was_packed_in_any_order(rows: list[list[int]], order: list[int]) -> None:
    values = torch.tensor(rows)
    assert unpack_columns(pack_columns(values, tuple(order)), tuple(order)).equal(values.to(torch.int32))


def test_awq_s_order_is_autoawq_s() -> None:
    """AutoAWQ packs column ``[0, 2, 4, 6, 1, 3, 5, 7][i]`` at position ``i``."""
    packed = word([0, 2, 4, 6, 1, 3, 5, 7])
    assert unpack_columns(torch.tensor([[packed]], dtype=torch.int32), AWQ_ORDER).tolist() == [[*range(8)]]


def test_the_highest_value_survives_the_sign_bit() -> None:
    assert unpack_rows(torch.tensor([[-1]], dtype=torch.int32)).unique().tolist() == [15]


@pytest.fixture
def weight() -> tuple[object, object, object]:
    """Values ``[in, out]``, scales and zero points ``[groups, out]``."""
    random = torch.Generator().manual_seed(5)
    values = torch.randint(0, 16, (IN, OUT), generator=random)
    scales = torch.rand(IN // 32, OUT, generator=random) / 10 + 0.01
    zeros = torch.randint(1, 16, (IN // 32, OUT), generator=random)
    return values, scales, zeros


def dequantized(values: object, scales: object, zeros: object) -> object:
    group = values.shape[0] // scales.shape[0]
    wide = (values - zeros.repeat_interleave(group, 0)) * scales.repeat_interleave(group, 0)
    return wide.t()


@pytest.mark.parametrize("layout", ["gptq", "gptq symmetric", "awq"])
@pytest.mark.parametrize("shape", [(IN,), (1, IN), (2, 3, IN)])
def test_the_product_is_that_of_the_dequantized_weight(
    weight: tuple[object, object, object], layout: str, shape: tuple[int, ...]
) -> None:
    values, scales, zeros = weight
    if layout == "awq":
        qweight, qzeros = pack_columns(values, AWQ_ORDER), pack_columns(zeros, AWQ_ORDER)
        packed = from_awq(qweight, scales, qzeros, torch.float32)
    elif layout == "gptq":
        packed = from_gptq(pack_rows(values), scales, pack_columns(zeros - 1, tuple(range(8))), torch.float32)
    else:
        zeros = torch.full_like(zeros, 8)
        packed = from_gptq(pack_rows(values), scales, None, torch.float32)
    assert packed.group == 32 and packed.group in GROUPS
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    bias = torch.arange(OUT, dtype=torch.float32)
    wanted = x @ dequantized(values, scales, zeros).t() + bias
    found = int4_linear(x, packed.packed, packed.scales_and_zeros, packed.group, bias)
    assert found.shape == (*shape[:-1], OUT)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


def test_the_packed_weight_is_half_a_byte_per_value(weight: tuple[object, object, object]) -> None:
    values, scales, _ = weight
    assert from_gptq(pack_rows(values), scales, None, torch.bfloat16).packed.nbytes == OUT * IN // 2
