"""Models of several modalities: their language model's sizes lie one level down, and what sees stays as it is."""

from __future__ import annotations

import pytest

from mixprec_runtime.planning.asides import is_beside_language
from mixprec_runtime.planning.language import language_config
from mixprec_runtime.planning.modules import is_derived
from mixprec_runtime.records.plan import Plan
from tests.runtime.builders import (
    CONFIG,
    HIDDEN,
    LAYOUTS,
    VOCAB,
    Layout,
    Tensor,
    Tensors,
    Workshop,
    model_tensors,
    plain,
)

MIX = "model: base\nsources: {gptq: {path: gptq}}\ndefault: gptq\nignore: [lm_head]\n"
TEXT = {key: value for key, value in CONFIG.items() if key not in ("architectures", "torch_dtype")}
FLAT = {key: None for key in TEXT if key != "model_type"}
TOWER = "model.vision_tower.vision_model.encoder.layers.0"
KEYS = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
]


def seeing(layout: Layout = plain) -> Tensors:
    """The model under ``model.language_model``, beside a vision tower and a projector."""
    tensors = {
        name.replace("model.", "model.language_model.", 1) if name.startswith("model.") else name: tensor
        for name, tensor in model_tensors(layout).items()
    }
    tensors[f"{TOWER}.self_attn.q_proj.weight"] = Tensor("BF16", (HIDDEN, HIDDEN))
    tensors["model.multi_modal_projector.linear_1.weight"] = Tensor("BF16", (HIDDEN, HIDDEN))
    return tensors


def settings(**changed: object) -> dict[str, object]:
    """Keys of ``config.json``: nothing of the language model on the first level."""
    text = {**TEXT, **changed}
    return {**FLAT, "model_type": "llava", "text_config": text, "vision_config": {"hidden_size": 8, "vocab_size": 7}}


@pytest.fixture
def shop_that_sees(shop: Workshop) -> Workshop:
    for name in ("base", "gptq"):
        shop.checkpoint(name, seeing(LAYOUTS[name][0]), **settings())
    return shop


def sources(plan: Plan) -> dict[str, str]:
    return {layer.layer: layer.source for layer in plan.layers}


def test_the_language_models_keys_come_first() -> None:
    config = {"vocab_size": 1, "hidden_size": 2, "text_config": {"vocab_size": 3}}
    assert language_config(config)["vocab_size"] == 3 and language_config(config)["hidden_size"] == 2
    assert language_config({"thinker_config": {"text_config": {"vocab_size": 4}}})["vocab_size"] == 4


@pytest.mark.parametrize("key", KEYS)
def test_a_source_of_another_language_model_is_refused(shop_that_sees: Workshop, key: str) -> None:
    value = TEXT[key]
    assert isinstance(value, int)
    shop_that_sees.checkpoint("gptq", seeing(LAYOUTS["gptq"][0]), **settings(**{key: value * 2}))
    (other,) = [finding for finding in shop_that_sees.plan(MIX).findings if finding.code == "MP614"]
    assert other.evidence == (f"{key}: base {value}, source {value * 2}",)


def test_the_vocabulary_that_tells_the_embedding_is_the_language_models(shop: Workshop) -> None:
    renamed = {name.replace("embed_tokens", "tokens"): tensor for name, tensor in seeing().items()}
    assert renamed["model.language_model.tokens.weight"].shape == (VOCAB, HIDDEN)
    for name in ("base", "gptq"):
        shop.checkpoint(name, renamed, **settings())
    assert sources(shop.plan("model: base\nsources: {gptq: {path: gptq}}\ndefault: gptq\n"))[
        "model.language_model.tokens"
    ] == "model"  # fmt: skip


def test_what_sees_stays_with_the_base_where_the_default_left_it_plain(shop_that_sees: Workshop) -> None:
    plan = shop_that_sees.plan(MIX)
    assert plan.valid, plan.findings
    found = sources(plan)
    assert found[f"{TOWER}.self_attn.q_proj"] == found["model.multi_modal_projector.linear_1"] == "model"
    assert found["model.language_model.layers.1.mlp.up_proj"] == "gptq"


@pytest.mark.parametrize("name", ["gptq", "int8"])
def test_a_default_that_lacks_what_sees_is_refused_by_name(shop_that_sees: Workshop, name: str) -> None:
    """As a checkpoint of the language model alone, whose config says that all of its layers are quantized."""
    language = {
        key: each for key, each in seeing(LAYOUTS[name][0]).items() if TOWER not in key and "projector" not in key
    }
    shop_that_sees.checkpoint(name, language, **settings())
    plan = shop_that_sees.plan(MIX.replace("gptq", name))
    (finding,) = [each for each in plan.findings if each.code == "MP630"]
    assert (
        f"source {name!r} lacks modules" in finding.summary
        and f"{TOWER}.self_attn.q_proj: no tensor" in finding.evidence
    )


def test_heads_of_the_language_model_are_shared_by_ranks(shop_that_sees: Workshop) -> None:
    plan = shop_that_sees.plan(MIX, ranks=2)
    (keys,) = [layer for layer in plan.layers if layer.layer == "model.language_model.layers.0.self_attn.k_proj"]
    assert keys.bytes_per_rank[0] < keys.nbytes


def test_only_a_model_with_other_modalities_has_something_beside_its_language_model() -> None:
    assert is_beside_language("visual.blocks.0.attn.qkv", {"vision_config": {}})
    assert is_beside_language("model.audio_tower.layers.0.fc1", {"audio_config": {}})
    assert not is_beside_language("model.language_model.layers.0.mlp.up_proj", {"vision_config": {}})
    assert not is_beside_language("visual.blocks.0.attn.qkv", {})


def test_a_head_that_the_language_model_ties_is_the_embedding_under_a_second_name() -> None:
    tied = {"text_config": {"tie_word_embeddings": True}}
    assert is_derived("language_model.lm_head.weight", tied) and is_derived("lm_head.weight", tied)
    assert not is_derived(
        "lm_head.weight", {"tie_word_embeddings": True, "text_config": {"tie_word_embeddings": False}}
    )
