"""Bytes that each tensor-parallel rank holds: Megatron's split."""

from __future__ import annotations

import pytest

from tests.runtime.builders import GROUP, HIDDEN, KV_HEADS, MIDDLE, VOCAB, Workshop

ONE = "model: base\nsources: {x: {path: %s}}\ndefault: x\nignore: [lm_head]\n"
SHARED = 2 * HIDDEN


def held(shop: Workshop, name: str, module: str, ranks: int) -> int:
    shop.checkpoints("base", name)
    plan = shop.plan(ONE % name, ranks=ranks)
    assert plan.valid, plan.findings
    (layer,) = [layer for layer in plan.layers if layer.layer == module]
    assert len(layer.bytes_per_rank) == ranks and len(set(layer.bytes_per_rank)) == 1
    return layer.bytes_per_rank[0]


def test_one_rank_holds_what_is_read(shop: Workshop) -> None:
    shop.checkpoints("base", "gptq")
    plan = shop.plan(ONE % "gptq")
    assert all(layer.bytes_per_rank == (layer.nbytes,) for layer in plan.layers)
    assert plan.totals.bytes_per_rank == (plan.totals.bytes,)


@pytest.mark.parametrize("module, bytes_", [
    ("model.layers.0.mlp.gate_proj", 2 * MIDDLE * HIDDEN // 2),
    ("model.layers.0.mlp.down_proj", 2 * MIDDLE * HIDDEN // 2),
    ("model.layers.0.input_layernorm", SHARED),
    ("model.embed_tokens", 2 * VOCAB * HIDDEN // 2),
    ("lm_head", 2 * VOCAB * HIDDEN // 2),
])  # fmt: skip
def test_plain_modules_are_cut_along_their_axis(shop: Workshop, module: str, bytes_: int) -> None:
    shop.checkpoints("base")
    plan = shop.plan("model: base\n", ranks=2)
    (layer,) = [layer for layer in plan.layers if layer.layer == module]
    assert layer.bytes_per_rank == (bytes_, bytes_)


@pytest.mark.parametrize("name, module, bytes_", [
    # GPTQ: qweight, qzeros and scales along the outputs; g_idx has none and is held whole
    ("gptq", "model.layers.0.mlp.up_proj", (MIDDLE * HIDDEN // 2 + HIDDEN // GROUP * (MIDDLE // 2 + 2 * MIDDLE)) // 2 + 4 * HIDDEN),
    # ... and along the inputs all of them
    ("gptq", "model.layers.0.mlp.down_proj", (MIDDLE * HIDDEN // 2 + MIDDLE // GROUP * (HIDDEN // 2 + 2 * HIDDEN) + 4 * MIDDLE) // 2),
    ("awq", "model.layers.0.mlp.up_proj", (MIDDLE * HIDDEN // 2 + HIDDEN // GROUP * (MIDDLE // 2 + 2 * MIDDLE)) // 2),
    ("int8", "model.layers.0.mlp.up_proj", (MIDDLE * HIDDEN + 2 * MIDDLE) // 2),
    # scales per output are held whole where the inputs are cut
    ("fp8", "model.layers.0.mlp.down_proj", MIDDLE * HIDDEN // 2 + 2 * HIDDEN),
    ("packed", "model.layers.0.mlp.down_proj", (MIDDLE * HIDDEN // 2 + 2 * HIDDEN * MIDDLE // GROUP) // 2 + 16),
])  # fmt: skip
def test_packed_layouts_are_cut_along_theirs(shop: Workshop, name: str, module: str, bytes_: int) -> None:
    assert held(shop, name, module, 2) == bytes_


def test_key_and_value_heads_fewer_than_ranks_are_copied(shop: Workshop) -> None:
    shop.checkpoints("base")
    for ranks in (1, 2, 4, 8):
        plan = shop.plan("model: base\n", ranks=ranks)
        found = {layer.layer: layer.bytes_per_rank[0] for layer in plan.layers}
        whole = 2 * HIDDEN // 2 * HIDDEN
        assert found["model.layers.0.self_attn.k_proj"] == whole // min(ranks, KV_HEADS)
        assert found["model.layers.0.self_attn.q_proj"] == 2 * whole // ranks


def test_the_ranks_together_hold_at_least_what_is_read(shop: Workshop) -> None:
    shop.checkpoints("base", "gptq")
    plan = shop.plan(ONE % "gptq", ranks=4)
    assert len(plan.totals.bytes_per_rank) == 4
    assert sum(plan.totals.bytes_per_rank) > plan.totals.bytes > max(plan.totals.bytes_per_rank)
    assert plan.totals.bytes_per_rank[0] == sum(layer.bytes_per_rank[0] for layer in plan.layers)
