"""Windows score each token once, and the measured value is the definition's."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="the reference needs torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mixprec_runtime.reference.perplexity import measure, windows  # noqa: E402


@given(count=st.integers(0, 200), length=st.integers(2, 40), data=st.data())
def test_overlapping_windows_score_every_token_but_the_first_once(count: int, length: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, length - 1))
    tokens = list(range(count))
    scored = [
        token for window in windows(tokens, length=length, stride=stride) for token in window.tokens[window.first :]
    ]
    assert scored == tokens[1:]


@given(count=st.integers(0, 200), length=st.integers(2, 40))
def test_windows_side_by_side_lose_their_first_tokens(count: int, length: int) -> None:
    tokens = list(range(count))
    scored = [token for window in windows(tokens, length=length) for token in window.tokens[window.first :]]
    assert scored == [token for token in tokens if token % length]


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary() -> None:
    def model(input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        return SimpleNamespace(logits=torch.zeros(1, input_ids.shape[1], 50))

    found = measure(model, windows(list(range(30)), length=8))
    assert found.tokens == 26
    assert math.isclose(found.value, 50, rel_tol=1e-6)


def test_each_token_is_foreseen_from_the_one_before() -> None:
    def successor(input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        return SimpleNamespace(logits=torch.nn.functional.one_hot(input_ids + 1, 50).to(torch.float32) * 100)

    assert measure(successor, windows(list(range(30)), length=8, stride=4)).nats < 1e-6


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (8, 0), (8, 9)])
def test_lengths_that_score_nothing_are_refused(length: int, stride: int) -> None:
    with pytest.raises(ValueError, match="stride"):
        windows([1, 2, 3], length=length, stride=stride)
