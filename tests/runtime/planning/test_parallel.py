"""Splits that ranks cannot make, found before anything starts, with the numbers and what would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.records.finding import Finding
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.parallel import find_split_faults, rank_counts
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.planning.ranks import Split
from mixprec_runtime.planning.units import units_of
from mixprec_runtime.records.mix import Mark, Mix, Source
from mixprec_runtime.records.plan import LayerPlan
from tests.runtime.builders import Workshop

MIX = Mix(
    file=Path("mix.yaml"),
    model=Source(name="model", path=Path("base"), mark=Mark(file="mix.yaml", line=1, column=8)),
    sources={"x": Source(name="x", path=Path("x"), mark=Mark(file="mix.yaml", line=2, column=11))},
    rules=(),
)
GPTQ = Format(kind=FormatKind.GPTQ, bits=4, group=64)
AWQ = Format(kind=FormatKind.AWQ, bits=4, group=64)
PACKED = Format(kind=FormatKind.PACKED, bits=4, group=64, symmetric=True)
CHANNEL = Format(kind=FormatKind.FP8, bits=8, scale="channel")
BLOCK = Format(kind=FormatKind.FP8, bits=8, scale="block", block=(128, 128))


def layer(leaf: str, form: Format, out: int, inputs: int, *, number: int = 0) -> LayerPlan:
    part = "self_attn" if leaf in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
    return LayerPlan(
        layer=f"model.layers.{number}.{part}.{leaf}", source="x", format=form, shape=(out, inputs), tensors=(),
        bytes_per_rank=(0,),
    )  # fmt: skip


def faults(*layers: LayerPlan, **split: int) -> list[Finding]:
    return find_split_faults(MIX, layers, units_of(each.layer for each in layers), Split(**split))


def test_heads_that_no_two_ranks_can_share_are_named_with_the_counts_that_do() -> None:
    (finding,) = faults(ranks=2, heads=9, key_value_heads=3)
    assert (finding.code, finding.severity.value) == ("MP645", "error")
    assert finding.summary == "9 attention heads cannot be shared by 2 ranks"
    assert finding.remedy is not None
    assert "Serve it on 1, 3 or 9 ranks" in finding.remedy.text and "pipeline_parallel_size 2" in finding.remedy.text


@pytest.mark.parametrize("heads, shared, ranks, codes", [
    (9, 3, 3, []),
    (9, 3, 9, ["MP650"]),  # each key/value head on three ranks
    (8, 1, 2, ["MP650"]),
    (8, 2, 2, []),
    (12, 4, 6, ["MP646"]),
    (12, 4, 12, ["MP650"]),
    (12, 6, 4, ["MP646"]),  # more heads than ranks, but not a multiple
    (12, 12, 4, []),
    (8, 2, 3, ["MP645"]),
])  # fmt: skip
def test_key_and_value_heads_are_shared_evenly_or_copied_evenly(
    heads: int, shared: int, ranks: int, codes: list[str]
) -> None:
    assert [finding.code for finding in faults(ranks=ranks, heads=heads, key_value_heads=shared)] == codes


@pytest.mark.parametrize("form, inputs, ranks, said", [
    (GPTQ, 192, 2, "96 inputs for each rank are no multiple of the group size 64"),
    (AWQ, 192, 2, "96 inputs for each rank are no multiple of the group size 64"),
    (PACKED, 192, 2, "96 inputs for each rank are no multiple of the group size 64"),
    (BLOCK, 384, 2, "192 inputs for each rank are no multiple of the 128 inputs of a block"),
    (Format(kind=FormatKind.GPTQ, bits=4), 40, 2, "20 inputs for each rank are no multiple of the 8 codes of 4 bits"),
    (Format(kind=FormatKind.GPTQ, bits=3, group=16), 96, 2, "no multiple of the 32 codes of 3 bits"),
    (Format(kind=FormatKind.GPTQ, bits=8), 20, 2, "10 inputs for each rank are no multiple of the 4 codes of 8 bits"),
])  # fmt: skip
def test_what_a_cut_along_the_inputs_would_split(form: Format, inputs: int, ranks: int, said: str) -> None:
    (finding,) = faults(layer("down_proj", form, 64, inputs), ranks=ranks)
    assert finding.code == "MP649" and finding.summary.startswith("mix.yaml:2:11: 2 ranks would cut")
    assert said in finding.evidence[0]


@pytest.mark.parametrize("form, out, said", [
    (AWQ, 72, "36 outputs for each rank are no multiple of the 8 codes of 4 bits that are packed together"),
    (GPTQ, 72, "36 outputs for each rank are no multiple of the 8 codes"),  # its zero points are packed that way
    (Format(kind=FormatKind.PACKED, bits=4, group=64, symmetric=False), 72, "36 outputs"),
    (BLOCK, 384, "192 outputs for each rank are no multiple of the 128 outputs of a block"),
])  # fmt: skip
def test_what_a_cut_along_the_outputs_would_split(form: Format, out: int, said: str) -> None:
    (finding,) = faults(layer("up_proj", form, out, 128), ranks=2)
    assert finding.code == "MP649" and said in finding.evidence[0]


@pytest.mark.parametrize("each", [
    layer("down_proj", GPTQ, 64, 256),
    layer("down_proj", CHANNEL, 64, 34),
    layer("up_proj", CHANNEL, 34, 64),
    layer("up_proj", PACKED, 36, 64),  # symmetric: nothing is packed along the outputs
    layer("down_proj", AWQ, 64, 128),
    layer("down_proj", Format(kind=FormatKind.GPTQ, bits=4, group=64, act_order=True), 64, 192),
    layer("down_proj", Format(kind=FormatKind.AWQ, bits=4), 64, 34),
    layer("up_proj", BLOCK, 256, 100),  # inputs are not cut here
    layer("down_proj", BLOCK, 100, 256),
    layer("gate", BLOCK, 100, 100),  # every rank holds it whole
])  # fmt: skip
def test_splits_that_cut_nothing_are_none_of_its_business(each: LayerPlan) -> None:
    assert faults(each, ranks=2) == []


def test_the_copies_of_a_head_are_what_a_block_must_fit() -> None:
    """One key/value head of 64 outputs on two ranks: each holds it whole, and half a block of 128."""
    (copied, cut) = faults(layer("k_proj", BLOCK, 64, 128), ranks=2, heads=4, key_value_heads=1)
    assert (copied.code, cut.code) == ("MP650", "MP649") and "64 outputs for each rank" in cut.evidence[0]


def test_faults_of_one_name_in_many_layers_are_one_line_with_the_ways_out() -> None:
    many = [layer("down_proj", GPTQ, 64, 448, number=number) for number in range(3)]
    (finding,) = faults(*many, ranks=2, heads=8, key_value_heads=8)
    assert finding.evidence == (
        "model.layers.*.mlp.down_proj (3): 224 inputs for each rank are no multiple of the group size 64",
    )
    assert finding.remedy is not None
    assert finding.remedy.text == (
        "Serve it on 1 rank; or take these modules from a source with smaller groups, or in another format; or let a "
        "rule before the others keep the base's: {targets: ['re:.*\\.(down_proj)$'], source: model}."
    )


def test_extents_and_vocabularies_that_do_not_divide() -> None:
    odd = layer("up_proj", CHANNEL, 100, 64)
    head = LayerPlan(layer="lm_head", source="x", format=CHANNEL, shape=(32000, 64), tensors=(), bytes_per_rank=(0,))
    assert [(f.code, f.evidence[0]) for f in faults(odd, head, ranks=3)] == [
        ("MP647", "model.layers.*.mlp.up_proj: 100 outputs on 3 ranks"),
        ("MP648", "lm_head: 32000 tokens, padded to 32000, on 3 ranks"),
    ]
    assert rank_counts([odd, head], Split(heads=8, key_value_heads=8)) == (1, 2, 4)


def test_blocks_that_end_inside_a_fused_part_are_found_on_one_rank_too() -> None:
    attention = [layer("q_proj", BLOCK, 576, 576), layer("k_proj", BLOCK, 192, 576), layer("v_proj", BLOCK, 192, 576)]
    (finding,) = faults(*attention)
    assert (finding.code, finding.severity.value) == ("MP651", "warning")  # a portable kernel serves it
    assert len(finding.evidence) == 2  # nothing follows v
    assert finding.remedy is not None and "(q_proj|k_proj|v_proj)" in finding.remedy.text  # but v must move with them
    assert finding.evidence[0].endswith("q_proj: 576 outputs are no multiple of the 128 of a block")
    assert (
        faults(layer("q_proj", BLOCK, 128, 128), layer("k_proj", BLOCK, 128, 128), layer("v_proj", BLOCK, 64, 128))
        == []
    )


def test_more_stages_than_layers_are_refused() -> None:
    assert [finding.code for finding in faults(stages=3, layers=2)] == ["MP652"]
    assert faults(stages=2, layers=2) == []


def test_a_plan_on_ranks_that_do_not_fit_is_no_valid_one(shop: Workshop) -> None:
    """A whole plan: 4 heads, 2 key/value heads, GPTQ in groups of 16, 64 inputs of down_proj."""
    shop.checkpoints("base", "gptq")
    mix = read_mix(shop.mix("model: base\nsources: {x: {path: gptq}}\ndefault: x\nignore: [lm_head]\n"))
    codes = {ranks: {f.code for f in make_plan(mix, tensor_parallel_size=ranks).findings} for ranks in (1, 2, 3, 4)}
    assert codes == {1: set(), 2: set(), 3: {"MP645", "MP647", "MP648"}, 4: {"MP650", "MP649"}}
