"""Interactions within a layer: what was measured together is what units and joint losses add up to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_runtime.measuring.interactions import joint_losses
from mixprec_runtime.records.fit import Choice, Losses

CHOICES: list[Choice] = [(unit, source) for unit in "abcd" for source in ("awq", "int8")]
NATS = st.floats(0.0, 1.0)
SETS = st.lists(st.sampled_from(CHOICES), min_size=2, max_size=4, unique_by=lambda each: each[0]).map(frozenset)


@given(st.fixed_dictionaries(dict.fromkeys(CHOICES, NATS)), st.dictionaries(SETS, NATS, max_size=8))
def test_every_set_loses_what_was_measured(
    alone: dict[Choice, float], together: dict[frozenset[Choice], float]
) -> None:
    losses = Losses(method="kl", alone=alone, joint=joint_losses(alone, together))
    for choices, nats in together.items():
        assert losses.of(dict(choices)) == pytest.approx(nats, abs=1e-9)


def test_a_larger_set_that_was_not_measured_has_what_its_parts_have() -> None:
    alone = {("a", "awq"): 0.1, ("b", "awq"): 0.2, ("c", "awq"): 0.4}
    losses = Losses(
        method="kl", alone=alone, joint=joint_losses(alone, {frozenset({("a", "awq"), ("b", "awq")}): 0.35})
    )
    assert losses.of({"a": "awq", "b": "awq", "c": "awq"}) == pytest.approx(0.75)
    assert losses.of({"a": "awq", "c": "awq"}) == pytest.approx(0.5)
