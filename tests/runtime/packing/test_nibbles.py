"""Packing four bits: what is packed comes back, in the order that the layout's source gives."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="packing needs torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mixprec_runtime.packing.errors import UnpackableShape  # noqa: E402
from mixprec_runtime.packing.nibbles import (  # noqa: E402
    AWQ_ORDER,
    SEQUENTIAL,
    pack_columns,
    pack_rows,
    unpack_columns,
    unpack_rows,
)

ORDERS = st.sampled_from([SEQUENTIAL, AWQ_ORDER])


def random_codes(rows: int, columns: int, seed: int) -> torch.Tensor:
    return torch.randint(0, 16, (rows, columns), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


@given(rows=st.integers(1, 9), words=st.integers(1, 5), seed=st.integers(0, 99), order=ORDERS)
def test_columns_come_back(rows: int, words: int, seed: int, order: tuple[int, ...]) -> None:
    codes = random_codes(rows, words * 8, seed)
    packed = pack_columns(codes, order)
    assert packed.dtype == torch.int32
    assert packed.shape == (rows, words)
    assert torch.equal(unpack_columns(packed, order), codes)


@given(words=st.integers(1, 5), columns=st.integers(1, 9), seed=st.integers(0, 99), order=ORDERS)
def test_rows_come_back(words: int, columns: int, seed: int, order: tuple[int, ...]) -> None:
    codes = random_codes(words * 8, columns, seed)
    assert torch.equal(unpack_rows(pack_rows(codes, order), order), codes)


def test_sequential_words_begin_with_the_lowest_bits() -> None:
    assert pack_columns(torch.arange(8).reshape(1, 8)).item() == 0x76543210


def test_awq_words_are_interleaved_as_autoawq_writes_them() -> None:
    # order_map of WQLinear_GEMM: bits 0-3 hold code 0, bits 4-7 code 2, ... bits 28-31 code 7
    assert pack_columns(torch.arange(8).reshape(1, 8), AWQ_ORDER).item() == 0x75316420


def test_a_high_last_code_makes_a_negative_word() -> None:
    assert pack_columns(torch.full((1, 8), 15)).item() == -1


def test_columns_that_are_no_multiple_of_eight_are_refused() -> None:
    with pytest.raises(UnpackableShape, match=r"\[2, 12\].*multiple of 8"):
        pack_columns(torch.zeros(2, 12, dtype=torch.uint8))
