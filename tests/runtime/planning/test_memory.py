"""Memory reports: sums are exact, uniform models are what planning would make of them, accounts join the plan."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.memory import ForeignAccounts, memory_report
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.planning.uniform import uniform_models
from mixprec_runtime.records.account import LayerMemory, LoadAccount
from mixprec_runtime.records.memory import UNFILLED, MemoryReport
from mixprec_runtime.records.plan import Plan
from tests.runtime.builders import LAYOUTS, Tensor, Workshop, model_tensors
from tests.runtime.planning.test_experts import EXPERTS, with_experts

SOURCES = ("gptq", "awq", "int8", "fp8", "packed")
LISTED = f"sources: {{{', '.join(f'{name}: {{path: {name}}}' for name in SOURCES)}}}\n"
PARTS = ("self_attn.[qkv]_proj", "self_attn.o_proj", "mlp.(gate|up)_proj", "mlp.down_proj")
CHOICES = st.lists(st.sampled_from(("model", *SOURCES)), min_size=2 * len(PARTS), max_size=2 * len(PARTS))


def mix_of(choices: Iterable[str]) -> str:
    places = [f"model.layers.{layer}.{part}" for layer in (0, 1) for part in PARTS]
    rules = [f"  - {{targets: ['re:{p}$'], source: {s}}}\n" for p, s in zip(places, choices, strict=True)]
    return f"model: base\n{LISTED}rules:\n{''.join(rules)}"


def engine_that_keeps_layouts(plan: Plan) -> tuple[LoadAccount, ...]:
    """Accounts of an engine that holds each module's own bytes, fuses as engines do, and grows them by a tenth."""
    fused = {"q_proj": "qkv_proj", "k_proj": "qkv_proj", "v_proj": "qkv_proj"}
    fused |= {"gate_proj": "gate_up_proj", "up_proj": "gate_up_proj"}
    accounts = []
    for rank in range(len(plan.totals.bytes_per_rank)):
        layers: dict[str, LayerMemory] = {}
        for module in plan.layers:
            parent, _, leaf = module.layer.rpartition(".")
            name = f"{parent}.{fused.get(leaf, leaf)}".removeprefix(".")
            size = module.bytes_per_rank[rank]
            before = layers.get(name)
            layers[name] = LayerMemory(
                layer=name, source=module.source, format=module.format.name, method="Method",
                loaded_bytes=size + (before.loaded_bytes if before else 0),
                held_bytes=size + size // 10 + (before.held_bytes if before else 0),
                members=(*(before.members if before else ()), module.layer),
            )  # fmt: skip
        accounts.append(
            LoadAccount(
                rank=rank,
                world_size=len(plan.totals.bytes_per_rank),
                sources={},
                parameters=0,
                parameter_bytes=0,
                held_bytes=0,
                grown_bytes=1000 + rank,
                redundant=(),
                converted={},
                layers=tuple(layers.values()),
                refused=(),
                faults=(),
                seconds=1.0,
            )
        )
    return tuple(accounts)


def with_layer(account: LoadAccount, **changes: object) -> LoadAccount:
    """The account with one layer more, made from its first."""
    return replace(account, layers=(*account.layers, replace(account.layers[0], **changes)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    shop = Workshop(tmp_path_factory.mktemp("five"))
    shop.checkpoints("base", *SOURCES)
    return shop


def plan_of(shop: Workshop, text: str, ranks: int = 1) -> tuple[Plan, MemoryReport]:
    mix = read_mix(shop.mix(text))
    plan = make_plan(mix, tensor_parallel_size=ranks)
    return plan, memory_report(plan, uniform=uniform_models(mix, plan))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choices=CHOICES, ranks=st.sampled_from([1, 2]))
def test_units_add_up_to_the_plans_totals_to_the_byte(five: Workshop, choices: list[str], ranks: int) -> None:
    plan, report = plan_of(five, mix_of(choices), ranks)
    assert sorted(module for unit in report.units for module in unit.modules) == sorted(x.layer for x in plan.layers)
    assert report.file_bytes == plan.totals.bytes
    assert report.bf16_bytes == plan.totals.bf16_bytes
    assert tuple(rank.planned for rank in report.ranks) == plan.totals.bytes_per_rank
    assert sum(each.planned for each in report.formats) == sum(plan.totals.bytes_per_rank)
    assert {each.format: each.file_bytes for each in report.formats} == plan.totals.by_format
    assert not report.measured and all(rank.loaded is rank.held is rank.grown is None for rank in report.ranks)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choices=CHOICES, ranks=st.sampled_from([1, 2]))
def test_measured_bytes_add_up_and_equal_what_was_planned(five: Workshop, choices: list[str], ranks: int) -> None:
    plan, _ = plan_of(five, mix_of(choices), ranks)
    report = memory_report(plan, accounts=engine_that_keeps_layouts(plan))
    assert report.measured and all(unit.loaded == unit.planned for unit in report.units)
    assert [rank.loaded for rank in report.ranks] == [rank.planned for rank in report.ranks]
    assert [rank.grown for rank in report.ranks] == [1000 + rank for rank in range(ranks)]
    assert sum(each.held or 0 for each in report.formats) == sum(rank.held or 0 for rank in report.ranks)
    assert all(unit.held is not None and sum(unit.held) >= sum(unit.planned) for unit in report.units)


@pytest.mark.parametrize("source", ["model", *SOURCES])
def test_a_uniform_model_is_what_a_plan_of_that_source_alone_takes(five: Workshop, source: str) -> None:
    _, report = plan_of(five, mix_of(["fp8", "int8"] * 4), 2)
    alone, _ = plan_of(five, f"model: base\n{LISTED}default: {source}\n", 2)
    (found,) = [each for each in report.uniform if each.source == source]
    assert (found.bytes, found.bytes_per_rank) == (alone.totals.bytes, alone.totals.bytes_per_rank)
    assert found.by_format == alone.totals.by_format and found.kept == 0
    assert found.bytes == sum(unit.uniform[source] for unit in report.units)


def test_what_a_source_lacks_is_kept_from_the_base_and_counted(shop: Workshop) -> None:
    shop.checkpoints("base", "fp8")
    tensors = {name: t for name, t in model_tensors().items() if "layers.1." not in name}
    shop.checkpoint("base", tensors)
    (shop.root / "base").rename(shop.root / "part")
    shop.checkpoint("base")
    _, report = plan_of(shop, "model: base\nsources: {part: {path: part}, fp8: {path: fp8}}\ndefault: fp8\n")
    (part,) = [each for each in report.uniform if each.source == "part"]
    assert (part.taken, part.kept, part.bytes) == (8, 7, report.bf16_bytes)


def test_a_source_that_cannot_be_opened_is_left_to_the_findings(shop: Workshop) -> None:
    shop.checkpoints("base", "fp8")
    (shop.root / "gone").mkdir()
    _, report = plan_of(shop, "model: base\nsources: {gone: {path: gone}, fp8: {path: fp8}}\ndefault: fp8\n")
    assert [each.source for each in report.uniform] == ["model", "fp8"]


def test_a_plan_without_layers_has_a_report_of_nothing(shop: Workshop) -> None:
    (shop.root / "empty").mkdir()
    plan, report = plan_of(shop, "model: empty\n")
    assert not plan.valid
    assert (report.units, report.uniform, report.ranks, report.file_bytes) == ((), (), (), 0)


def test_parts_of_a_fused_layer_stand_in_one_row(five: Workshop) -> None:
    _, report = plan_of(five, mix_of(["int8"] * 8))
    rows = {unit.unit: unit for unit in report.units}
    assert rows["model.layers.0.self_attn.qkv_proj"].modules[0] == "model.layers.0.self_attn.q_proj"
    assert len(rows["model.layers.0.self_attn.qkv_proj"].modules) == 3
    assert "model.layers.0.self_attn.q_proj" not in rows


def test_units_that_the_engine_holds_as_one_are_joined(five: Workshop) -> None:
    plan, _ = plan_of(five, mix_of(["int8"] * 8))
    (account,) = engine_that_keeps_layouts(plan)
    parts = {"model.layers.0.mlp.gate_up_proj", "model.layers.0.mlp.down_proj"}
    size = sum(layer.loaded_bytes for layer in account.layers if layer.layer in parts)
    kept = tuple(layer for layer in account.layers if layer.layer not in parts)
    members = tuple(f"model.layers.0.mlp.{leaf}_proj" for leaf in ("gate", "up", "down"))
    whole = replace(kept[0], layer="model.layers.0.mlp", format="int8-channel", loaded_bytes=size, members=members)
    report = memory_report(plan, accounts=(replace(account, layers=(*kept, whole)),))
    (row,) = [unit for unit in report.units if set(members) <= set(unit.modules)]
    assert row.loaded == row.planned == (size,)
    assert report.file_bytes == plan.totals.bytes


def test_experts_are_one_unit_under_whatever_the_engine_puts_below_it(shop: Workshop) -> None:
    experts = {
        f"model.layers.0.mlp.experts.{at}.{leaf}_proj.weight": Tensor("BF16", (8, 8))
        for at in range(4) for leaf in ("gate", "up", "down")
    }  # fmt: skip
    shop.checkpoint("base", {**model_tensors(), **experts})
    plan, _ = plan_of(shop, "model: base\n")
    (account,) = engine_that_keeps_layouts(plan)
    layers = tuple(layer for layer in account.layers if ".experts." not in layer.layer)
    account = replace(account, layers=layers)
    account = with_layer(account, layer="model.layers.0.mlp.experts.routed", loaded_bytes=1500, members=())
    account = with_layer(account, layer="model.layers.0.mlp.experts", loaded_bytes=36, members=())
    (unit,) = [u for u in memory_report(plan, accounts=(account,)).units if u.unit == "model.layers.0.mlp.experts"]
    assert (len(unit.modules), unit.loaded, unit.planned) == (12, (1536,), (12 * 128,))


def test_what_no_checkpoint_fills_is_counted_apart(five: Workshop) -> None:
    plan, _ = plan_of(five, mix_of(["int8"] * 8))
    (account,) = engine_that_keeps_layouts(plan)
    account = with_layer(
        account, layer="model.layers.0.self_attn.rotary_emb", source=None, format=None, method="Rotary", members=(),
        loaded_bytes=64, held_bytes=64,
    )  # fmt: skip
    report = memory_report(plan, accounts=(account,))
    last = report.formats[-1]
    assert (last.format, last.planned, last.loaded, last.held, last.bf16_bytes) == (UNFILLED, 0, 64, 64, 0)
    assert report.ranks[0].loaded == report.ranks[0].planned + 64


def test_accounts_of_other_ranks_are_refused_with_the_option_that_fits(five: Workshop) -> None:
    plan, _ = plan_of(five, mix_of(["int8"] * 8))
    two, _ = plan_of(five, mix_of(["int8"] * 8), 2)
    with pytest.raises(ForeignAccounts, match="--tensor-parallel-size 2"):
        memory_report(plan, accounts=engine_that_keeps_layouts(two))
    with pytest.raises(ForeignAccounts, match="1 of 2 ranks"):
        memory_report(two, accounts=engine_that_keeps_layouts(two)[:1])


def test_accounts_of_another_mixture_are_refused(five: Workshop) -> None:
    plan, _ = plan_of(five, mix_of(["int8"] * 8))
    other, _ = plan_of(five, mix_of(["fp8"] * 8))
    with pytest.raises(ForeignAccounts, match="loaded as fp8-channel, the plan has int8-channel"):
        memory_report(plan, accounts=engine_that_keeps_layouts(other))


def test_the_document_comes_back_as_it_was(five: Workshop, tmp_path: Path) -> None:
    plan, planned = plan_of(five, mix_of(["int8", "awq", "gptq", "packed"] * 2), 2)
    measured = memory_report(plan, accounts=engine_that_keeps_layouts(plan))
    for report in (planned, measured):
        document = json.loads(json.dumps(report.to_json()))
        assert document["schema"] == "mixprec.memory/1"
        assert list(document) == ["schema", "mixprec", "mix", "measured", "linear", "totals", "uniform", "units"]
        assert MemoryReport.from_json(document) == report


def test_stages_hold_their_own_layers_in_uniform_models_too(five: Workshop) -> None:
    mix = read_mix(five.mix(mix_of(["int8"] * 8)))
    plan = make_plan(mix, tensor_parallel_size=2, pipeline_parallel_size=2)
    report = memory_report(plan, uniform=uniform_models(mix, plan))
    alone = make_plan(
        read_mix(five.mix(f"model: base\n{LISTED}default: awq\n")), tensor_parallel_size=2, pipeline_parallel_size=2
    )
    (awq,) = [each for each in report.uniform if each.source == "awq"]
    assert awq.bytes_per_rank == alone.totals.bytes_per_rank
    held = {unit.unit: [size > 0 for size in unit.planned] for unit in report.units}
    assert held["model.layers.0.mlp.down_proj"] == [True, True, False, False]
    assert held["model.layers.1.mlp.down_proj"] == [False, False, True, True]


def test_layers_are_listed_by_number_whatever_order_files_have(shop: Workshop) -> None:
    names = ["lm_head", "m.layers.10.a", "m.layers.2.b", "m.layers.2.a", "m.embed_tokens", "m.layers.0.a"]
    shop.checkpoint("base", {f"{name}.weight": Tensor("BF16", (4, 4)) for name in names})
    _, report = plan_of(shop, "model: base\n")
    assert [unit.unit for unit in report.units] == [
        "lm_head", "m.layers.0.a", "m.layers.2.b", "m.layers.2.a", "m.layers.10.a", "m.embed_tokens",
    ]  # fmt: skip


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("target", ["experts", "shared_expert"])
def test_stacked_experts_are_compared_with_those_that_stand_one_by_one(
    shop: Workshop, stacked: bool, target: str
) -> None:
    for name in ("base", "gptq", "fp8"):
        tensors = with_experts(LAYOUTS[name][0], stacked=stacked and name == "base")
        shop.checkpoint(name, tensors, num_experts=EXPERTS)
    text = "model: base\nsources: {gptq: {path: gptq}, fp8: {path: fp8}}\n"
    plan, report = plan_of(shop, f"{text}rules: [{{targets: ['re:.*{target}'], source: gptq}}]\n")
    assert plan.valid, plan.findings
    rows = {unit.unit: unit for unit in report.units}
    experts = rows["model.layers.1.mlp.experts"]
    assert experts.uniform["model"] == experts.bf16_bytes == 2 * 3 * EXPERTS * 64 * 32
    assert experts.uniform["gptq"] < experts.uniform["fp8"] < experts.bf16_bytes
    for source in ("gptq", "fp8"):
        alone, _ = plan_of(shop, f"{text}default: {source}\n")
        (found,) = [each for each in report.uniform if each.source == source]
        assert (found.bytes, found.kept) == (alone.totals.bytes, 0)
        assert found.bytes == sum(unit.uniform[source] for unit in report.units)
