"""Targets mean what compressed-tensors means by them."""

from __future__ import annotations

import pytest

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.checkpoint.formats import ModuleWeights
from mixprec_runtime.planning.modules import class_name, is_derived
from mixprec_runtime.planning.targets import matches

Q = "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize("target, module, kind, meant", [
    (Q, Q, "Linear", True),
    ("q_proj", Q, "Linear", False),  # a name is the whole name
    ("model.layers.0.self_attn", Q, "Linear", False),
    ("Linear", Q, "Linear", True),
    ("linear", Q, "Linear", False),
    ("Embedding", "model.embed_tokens", "Embedding", True),
    ("Linear", "model.norm", None, False),
    ("None", "model.norm", None, False),
    ("re:.*q_proj", Q, "Linear", True),
    ("re:q_proj", Q, "Linear", False),  # from the start of the name
    ("re:model\\.layers\\.0", Q, "Linear", True),  # ... but not to its end
    ("re:model\\.layers\\.0$", Q, "Linear", False),
    ("re:model.layers.1\\.", "model.layers.10.mlp.up_proj", "Linear", False),
    ("re:Linear", Q, "Linear", False),  # an expression never means a class
    ("re:.*", "lm_head", "Linear", True),
    (".*", Q, "Linear", False),
])  # fmt: skip
def test_a_target_means_a_name_an_expression_or_a_class(
    target: str, module: str, kind: str | None, meant: bool
) -> None:
    assert matches(target, module, kind) is meant


@pytest.mark.parametrize("name, target, module, meant", [
    ("is_match", "re:.*q_proj", Q, True), ("is_match", "re:q_proj", Q, False), ("is_match", "q_proj", Q, False),
    ("is_match", Q, Q, True), ("is_match", "Linear", Q, True), ("is_match", "re:Linear", Q, False),
    ("is_match", "re:model.layers.0", Q, True), ("is_match", "model.layers.0", Q, False),
])  # fmt: skip
def test_compressed_tensors_itself_agrees(name: str, target: str, module: str, meant: bool) -> None:
    match = pytest.importorskip("compressed_tensors.utils.match")
    torch = pytest.importorskip("torch")
    assert getattr(match, name)(module, torch.nn.Linear(2, 2), target) is meant
    assert matches(target, module, "Linear") is meant


def weights(*shape: int, kind: FormatKind = FormatKind.PLAIN) -> ModuleWeights:
    return ModuleWeights(format=Format(kind=kind, bits=16, dtype="BF16"), shape=shape)


@pytest.mark.parametrize("module, found, kind", [
    (Q, weights(32, 32), "Linear"),
    ("lm_head", weights(48, 32), "Linear"),
    ("model.embed_tokens", weights(48, 32), "Embedding"),
    ("model.embed_tokens", weights(64, 32), "Embedding"),  # a vocabulary that is padded
    ("transformer.wpe", weights(1024, 32), "Embedding"),
    ("model.words", weights(48, 32), "Embedding"),
    ("model.norm", weights(32), None),
    ("model.conv", weights(32, 3, 3), None),
    (Q, weights(48, 32, kind=FormatKind.GPTQ), "Linear"),
])  # fmt: skip
def test_a_class_is_told_by_shape_and_name(module: str, found: ModuleWeights, kind: str | None) -> None:
    assert class_name(module, found, vocab_size=48) == kind


@pytest.mark.parametrize("name, tied, derived", [
    ("lm_head.weight", True, True), ("lm_head.weight", False, False), ("lm_head.weight", None, False),
    ("model.layers.0.self_attn.rotary_emb.inv_freq", False, True), ("model.norm.weight", True, False),
    ("model.lm_head.weight", True, False),
])  # fmt: skip
def test_what_the_model_computes_itself_is_derived(name: str, tied: bool | None, derived: bool) -> None:
    assert is_derived(name, {"tie_word_embeddings": tied}) is derived
