"""Interactions within a layer: what is measured together is what the pairs add up to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_runtime.measuring.interactions import pair_losses

LOSSES = st.dictionaries(st.sampled_from("abcde"), st.floats(1e-6, 1.0), min_size=2)


@given(LOSSES, st.floats(-0.9, 0.9))
def test_pairs_and_units_add_up_to_what_was_measured_together(alone: dict[str, float], cosine: float) -> None:
    units = list(alone)
    crossed = sum(math.sqrt(alone[a] * alone[b]) for i, a in enumerate(units) for b in units[i + 1 :])
    together = sum(alone.values()) + 2 * cosine * crossed
    found = list(pair_losses("awq", alone, together))
    assert sum(each.nats for each in found) + sum(alone.values()) == pytest.approx(together)
    assert len(found) == len(units) * (len(units) - 1) // 2
    assert {source for each in found for _, source in each.choices} == {"awq"}


@given(LOSSES, st.floats(0.0, 100.0))
def test_no_pair_is_more_than_two_lengths_can_make(alone: dict[str, float], together: float) -> None:
    for each in pair_losses("awq", alone, together):
        a, b = (alone[unit] for unit, _ in each.choices)
        assert abs(each.nats) <= 2 * math.sqrt(a * b) * (1 + 1e-9)
        assert a + b + each.nats >= -1e-12


def test_units_that_lose_nothing_have_no_pairs() -> None:
    assert list(pair_losses("awq", {"a": 0.0, "b": 0.0}, 0.1)) == []
