"""Poison sees what nothing overwrote, in memory of every type, and costs no second copy of it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mixprec_runtime.adapters.poison import Poison  # noqa: E402

FLOATS = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"]
INTEGERS = ["int64", "int32", "int16", "int8", "uint8"]


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_what_nothing_overwrites_remains(dtype: str) -> None:
    p = torch.zeros(6, 8, dtype=getattr(torch, dtype))
    poison = Poison({"p": p})
    assert poison.remains() == {"p": p.nbytes}
    if dtype in FLOATS:
        assert bool(p.to(torch.float32).isnan().all())
    p[:4] = 1
    assert poison.remains() == {"p": p.nbytes // 3}
    p[4:] = 1
    assert poison.remains() == {}


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_single_float_is_enough(dtype: str) -> None:
    p = torch.zeros(5, 7, dtype=getattr(torch, dtype))
    poison = Poison({"p": p})
    kept = p[3, 4].clone()
    p.fill_(1)
    p[3, 4] = kept
    assert poison.remains() == {"p": p.element_size()}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_other_numbers_that_are_none_are_no_poison(dtype: str) -> None:
    p = torch.zeros(64, dtype=getattr(torch, dtype))
    poison = Poison({"p": p})
    p.fill_(float("nan"))
    p[::2] = float("inf")
    p[1] = -float("nan")
    assert poison.remains() == {}


@pytest.mark.parametrize("dtype", INTEGERS)
def test_values_of_integers_are_never_poison(dtype: str) -> None:
    kind = torch.iinfo(getattr(torch, dtype))
    p = torch.zeros(1 << 16, dtype=getattr(torch, dtype))
    poison = Poison({"p": p})
    for value in (kind.min, kind.max, 0, kind.max - 1):
        p.fill_(value)
        assert poison.remains() == ({"p": p.nbytes} if (dtype, value) == ("int64", kind.max - 1) else {})


def test_an_operator_that_writes_less_than_its_target_is_found_out() -> None:
    p = torch.zeros(10, 4, dtype=torch.bfloat16)
    poison = Poison({"p": p})
    p[torch.tensor([0, 1, 2, 3, 5, 6, 7, 8, 9])] = torch.ones(9, 4, dtype=torch.bfloat16)
    assert poison.remains() == {"p": 8}


def test_memory_that_is_no_row_of_words_is_left_as_it_is() -> None:
    strided = torch.zeros(4, 8)[:, :5]
    few = torch.zeros(3, dtype=torch.int8)
    unaligned = torch.zeros(17, dtype=torch.int8)[1:]
    nothing = torch.zeros(0)
    away = torch.zeros(4, device="meta")
    poison = Poison({"a": strided, "b": few, "c": unaligned, "d": nothing, "e": away})
    assert poison.remains() == {} and not strided.any() and not few.any() and not unaligned.any()


def test_a_transposed_parameter_and_one_without_dimensions_are_poisoned() -> None:
    turned, single = torch.zeros(4, 6).t(), torch.tensor(1.0)
    poison = Poison({"turned": turned, "single": single})
    assert poison.remains() == {"turned": 96, "single": 4}
    turned.copy_(torch.ones(6, 4))
    single.copy_(torch.tensor([2.0])[0])
    assert poison.remains() == {}


def test_of_large_host_memory_a_word_of_each_page_is_poisoned_until_more_is_asked_for() -> None:
    p = torch.zeros(1 << 20, dtype=torch.bfloat16)
    poison = Poison({"p": p})
    assert poison.remains() == {"p": 2 * 512}
    assert int(p.view(torch.int16).ne(0).sum()) == 512 and bool(p[-1].isnan())
    p[:-2048] = 1
    assert poison.remains() == {"p": 2}
    p[-2048:] = 1
    assert poison.remains() == {}
    poison.deepen("p")
    assert poison.remains() == {"p": p.nbytes}
