"""Bytes that each tensor-parallel rank holds: Megatron's split."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.planning.ranks import Split, bytes_per_rank, cut_of
from mixprec_runtime.records.checkpoint import TensorHeader
from tests.runtime.builders import GROUP, HIDDEN, KV_HEADS, MIDDLE, VOCAB, Workshop

ONE = "model: base\nsources: {x: {path: %s}}\ndefault: x\nignore: [lm_head]\n"
SHARED = 2 * HIDDEN
PADDED = 64  # rows of the vocabulary, as engines pad them


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
    plain = [layer for layer in plan.layers if layer.format.name == "bf16"]
    others = [layer for layer in plain if layer.layer not in ("model.embed_tokens", "lm_head")]
    assert others and all(layer.bytes_per_rank == (layer.nbytes,) for layer in others)
    padding = 2 * 2 * HIDDEN * (PADDED - VOCAB)
    order = sum(t.nbytes for layer in plan.layers for t in layer.tensors if t.name.endswith("g_idx"))
    assert plan.totals.bytes_per_rank == (plan.totals.bytes - order + padding,)


@pytest.mark.parametrize("module, bytes_", [
    ("model.layers.0.mlp.gate_proj", 2 * MIDDLE * HIDDEN // 2),
    ("model.layers.0.mlp.down_proj", 2 * MIDDLE * HIDDEN // 2),
    ("model.layers.0.input_layernorm", SHARED),
    ("model.embed_tokens", 2 * PADDED * HIDDEN // 2),
    ("lm_head", 2 * PADDED * HIDDEN // 2),
])  # fmt: skip
def test_plain_modules_are_cut_along_their_axis(shop: Workshop, module: str, bytes_: int) -> None:
    shop.checkpoints("base")
    plan = shop.plan("model: base\n", ranks=2)
    (layer,) = [layer for layer in plan.layers if layer.layer == module]
    assert layer.bytes_per_rank == (bytes_, bytes_)


@pytest.mark.parametrize("name, module, bytes_", [
    # GPTQ: qweight, qzeros and scales along the outputs; a g_idx that only counts up is not kept
    ("gptq", "model.layers.0.mlp.up_proj", (MIDDLE * HIDDEN // 2 + HIDDEN // GROUP * (MIDDLE // 2 + 2 * MIDDLE)) // 2),
    # ... and along the inputs all of them
    ("gptq", "model.layers.0.mlp.down_proj", (MIDDLE * HIDDEN // 2 + MIDDLE // GROUP * (HIDDEN // 2 + 2 * HIDDEN)) // 2),
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
    for ranks in (1, 2, 4):
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


@pytest.mark.parametrize("layers, stages, expected", [
    (2, 2, ((0,), (1,))),
    (5, 2, ((0, 1, 2), (3, 4))),  # what is left over goes to the stages before the last
    (5, 3, ((0, 1), (2, 3), (4,))),
    (4, 3, ((0,), (1, 2), (3,))),
    (30, 4, (tuple(range(7)), tuple(range(7, 15)), tuple(range(15, 23)), tuple(range(23, 30)))),
])  # fmt: skip
def test_stages_hold_whole_layers(layers: int, stages: int, expected: tuple[tuple[int, ...], ...]) -> None:
    split = Split(stages=stages, layers=layers)
    found = [split.stages_of(f"model.layers.{layer}.mlp.up_proj") for layer in range(layers)]
    assert found == [frozenset({stage}) for stage, held in enumerate(expected) for _ in held]


@pytest.mark.parametrize("tied", [False, True])
def test_the_embedding_is_in_the_first_stage_and_what_follows_the_layers_in_the_last(tied: bool) -> None:
    split = Split(stages=3, layers=6, tied=tied)
    assert split.stages_of("model.embed_tokens") == ({0, 2} if tied else {0})
    assert split.stages_of("model.norm") == split.stages_of("lm_head") == {2}


def test_ranks_and_stages_together_share_everything(shop: Workshop) -> None:
    shop.checkpoints("base")
    plan = make_plan(read_mix(shop.mix("model: base\n")), tensor_parallel_size=2, pipeline_parallel_size=2)
    found = {layer.layer: layer.bytes_per_rank for layer in plan.layers}
    whole = 2 * MIDDLE * HIDDEN
    assert found["model.layers.0.mlp.up_proj"] == (whole // 2, whole // 2, 0, 0)
    assert found["model.layers.1.mlp.up_proj"] == (0, 0, whole // 2, whole // 2)
    assert len(plan.totals.bytes_per_rank) == 4 and plan.valid


def test_act_order_keeps_the_scales_of_all_groups_on_every_rank() -> None:
    header = TensorHeader(name="x.scales", dtype="F16", shape=(8, 32), file=Path("x"), begin=0, end=512)
    split = Split(ranks=2)
    for ordered, held in ((True, 512), (False, 256)):
        form = Format(kind=FormatKind.GPTQ, bits=4, group=16, act_order=ordered)
        assert bytes_per_rank("model.layers.0.mlp.down_proj", form, {"scales": header}, split) == (held, held)


@pytest.mark.parametrize("module, cut", [
    ("model.layers.0.block_sparse_moe.experts.3.w1", "column"),
    ("model.layers.0.block_sparse_moe.experts.3.w2", "row"),
    ("model.layers.0.mlp.experts.3.down_proj", "row"),
    ("model.layers.0.block_sparse_moe.gate", "whole"),
])  # fmt: skip
def test_experts_are_cut_as_other_layers_are(module: str, cut: str) -> None:
    assert cut_of(module) == cut
