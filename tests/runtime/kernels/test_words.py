"""Words of eight codes: unpacking turns packing round, in any order."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mixprec_runtime.kernels.words import AWQ_ORDER, unpack_columns, unpack_rows  # noqa: E402


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
    assert unpack_rows(pack_rows(values)).equal(values.to(torch.uint8))


@settings(max_examples=60, deadline=None)
@given(matrices, st.permutations(range(8)))
def test_unpacked_columns_are_what_was_packed_in_any_order(rows: list[list[int]], order: list[int]) -> None:
    values = torch.tensor(rows)
    assert unpack_columns(pack_columns(values, tuple(order)), tuple(order)).equal(values.to(torch.uint8))


def test_awq_s_order_is_autoawq_s() -> None:
    """AutoAWQ packs column ``[0, 2, 4, 6, 1, 3, 5, 7][i]`` at position ``i``."""
    packed = word([0, 2, 4, 6, 1, 3, 5, 7])
    assert unpack_columns(torch.tensor([[packed]], dtype=torch.int32), AWQ_ORDER).tolist() == [[*range(8)]]


def test_the_highest_value_survives_the_sign_bit() -> None:
    assert unpack_rows(torch.tensor([[-1]], dtype=torch.int32)).unique().tolist() == [15]
