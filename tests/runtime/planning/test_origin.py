"""A source whose embeddings are not the mixture's was made from other weights."""

from __future__ import annotations

import random
import struct

import pytest

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_runtime.records.plan import Plan
from tests.runtime.builders import HIDDEN, VOCAB, Tensor, Workshop, gptq, model_tensors

MIX = "model: base\nsources: {gptq: {path: gptq}}\ndefault: gptq\nignore: [lm_head]\n"
NAME = "model.embed_tokens.weight"
DRAWN = [random.Random(3).gauss(0, 1) for _ in range(VOCAB * HIDDEN)]  # noqa: S311


def embeddings(values: list[float], dtype: str = "BF16") -> dict[str, Tensor]:
    if dtype == "F16":
        return {NAME: Tensor("F16", (VOCAB, HIDDEN), struct.pack(f"<{len(values)}e", *values))}
    return {NAME: Tensor("BF16", (VOCAB, HIDDEN), b"".join(struct.pack("<f", value)[2:] for value in values))}


def found(plan: Plan) -> list[Finding]:
    return [finding for finding in plan.findings if finding.code == "MP638"]


@pytest.fixture
def mixture(shop: Workshop) -> Workshop:
    shop.checkpoint("base", {**model_tensors(), **embeddings(DRAWN)})
    return shop


def test_embeddings_in_another_type_are_the_same_embeddings(mixture: Workshop) -> None:
    mixture.checkpoint("gptq", {**model_tensors(gptq), **embeddings(DRAWN, "F16")})
    assert not found(mixture.plan(MIX))


def test_another_training_is_a_warning(mixture: Workshop) -> None:
    mixture.checkpoint("gptq", {**model_tensors(gptq), **embeddings([value * 1.05 for value in DRAWN])})
    plan = mixture.plan(MIX)
    assert plan.valid and [finding.severity for finding in found(plan)] == [Severity.WARNING]


def test_a_rotated_source_is_refused(mixture: Workshop) -> None:
    """Pairs of dimensions turned by a right angle: lengths and products stay, no number does."""
    turned = [-DRAWN[at + 1] if at % 2 == 0 else DRAWN[at - 1] for at in range(len(DRAWN))]
    mixture.checkpoint("gptq", {**model_tensors(gptq), **embeddings(turned)})
    plan = mixture.plan(MIX)
    assert not plan.valid
    (finding,) = found(plan)
    assert "source 'gptq' was made from other weights than source 'model'" in finding.summary
    assert "model.embed_tokens: rows differ by up to" in finding.evidence[0]


def test_embeddings_that_come_from_the_source_with_its_layers_are_its_own(mixture: Workshop) -> None:
    turned = [-DRAWN[at + 1] if at % 2 == 0 else DRAWN[at - 1] for at in range(len(DRAWN))]
    mixture.checkpoint("gptq", {**model_tensors(gptq), **embeddings(turned)})
    everything = "model: base\nsources: {gptq: {path: gptq}}\nrules: [{targets: ['re:.*'], source: gptq}]\n"
    assert not found(mixture.plan(everything))
