"""Reports: names as they are, rows that add up, and accounts in figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_runtime.launching.command import ServeCommand
from mixprec_runtime.launching.launch import prepare
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.account import LayerMemory, LoadAccount, RefusedKernel, SourceRead
from mixprec_runtime.reports.account_text import account_text
from mixprec_runtime.reports.console import render
from mixprec_runtime.reports.plan_text import findings_text, plan_text
from mixprec_runtime.reports.progress import TerminalObserver
from mixprec_runtime.reports.sizes import human_bytes, ratio
from tests.runtime.builders import Tensor, Workshop, model_tensors

ACCOUNT = LoadAccount(
    rank=0, world_size=1, sources={"gptq": SourceRead(tensors=7, bytes=1500)}, parameters=9, parameter_bytes=0,
    held_bytes=2000, grown_bytes=3_000_000, redundant=(), converted={},
    layers=(
        LayerMemory(layer="a", source="gptq", format="gptq-int4-g16", method="GPTQMethod", loaded_bytes=1200, held_bytes=0),
        LayerMemory(layer="b", source=None, format=None, method="Rotary", loaded_bytes=8, held_bytes=8),
    ),
    refused=(RefusedKernel(method="Marlin", fault="no [such] op"),) * 2, faults=(), seconds=1.25,
)  # fmt: skip


@pytest.mark.parametrize("count, text", [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (134_515_008, "134.5 MB"), (2.5e9, "2.5 GB"), (3e12, "3.0 TB"),
    (-1500, "-1.5 kB"), (5e15, "5000.0 TB"),
])  # fmt: skip
def test_bytes_are_decimal(count: float, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    "method", ["GPTQMarlinLinearScheme", "CompressedTensorsW8A8Int8", "compiled int4", "portable tiles", "Linear"]
)
def test_every_engine_s_way_to_serve_a_linear_layer_is_told(method: str, shop: Workshop) -> None:
    shop.checkpoint("base")
    served = replace(ACCOUNT.layers[0], method=method)
    text = render(account_text(shop.plan("model: base\n"), (replace(ACCOUNT, layers=(served, ACCOUNT.layers[1])),)))
    assert f"1 x gptq-int4-g16: {method}" in text
    assert "Rotary" not in text


def test_a_ratio_of_nothing_is_a_dash() -> None:
    assert (ratio(1, 4), ratio(1, 0)) == ("25.0 %", "-")


@pytest.mark.parametrize(
    "name", ["model.[/bold]", "model.[red]x", "mo*del.:smile:", "layers.²", "layers.٣.x", "a" * 60]
)
def test_odd_names_of_modules_are_shown_as_they_are(shop: Workshop, name: str) -> None:
    shop.checkpoint("base", {**model_tensors(), f"{name}.weight": Tensor("BF16", (4, 4))})
    plan = shop.plan("model: base\n")
    assert name in render(plan_text(plan, every_layer=True))
    assert name.replace("٣", "[3]") in render(plan_text(plan))
    text = Finding(code="MP1", severity=Severity.ERROR, summary=name, evidence=(name,), remedy=Remedy(text=name))
    assert render(findings_text([text])).count(name) == 3


def test_layers_of_one_kind_share_a_row(shop: Workshop) -> None:
    tensors = {
        f"model.layers.{at}.mlp.{leaf}.weight": Tensor("BF16", (4, 4))
        for at in (0, 1, 2, 5, 10, 11) for leaf in ("gate_proj", "up_proj")
    }  # fmt: skip
    shop.checkpoint("base", {**tensors, "model.norm.weight": Tensor("BF16", (4,))})
    lines = render(plan_text(shop.plan("model: base\n"))).splitlines()
    (row,) = [line for line in lines if "gate_up_proj" in line]
    assert row.split() == ["model.layers.[0-2,5,10-11].mlp.gate_up_proj", "model", "bf16", "384", "B", "100.0", "%"]


def test_experts_share_a_row_by_their_layer(shop: Workshop) -> None:
    shop.checkpoint("base", {f"m.{n}.experts.{e}.w.weight": Tensor("BF16", (4, 4)) for n in (0, 1) for e in range(3)})
    assert "m.[0-1].experts.*.w" in render(plan_text(shop.plan("model: base\n")))


def test_totals_add_up(shop: Workshop) -> None:
    shop.checkpoints("base", "gptq")
    plan = shop.plan("model: base\nsources: {gptq: {path: gptq}}\ndefault: gptq\n", ranks=2)
    text = render(plan_text(plan))
    rows = {line[:18].strip(): line[18:].split() for line in text.splitlines()}
    assert rows["whole mixture"][:2] == human_bytes(plan.totals.bytes).split()
    assert human_bytes(plan.totals.bf16_bytes - plan.totals.bytes) in text
    assert f"{1 - plan.totals.bytes / plan.totals.bf16_bytes:.1%}" in text
    assert rows["each of 2 ranks"][:2] == human_bytes(plan.totals.bytes_per_rank[0]).split()


def test_findings_come_gravest_first_and_long_evidence_is_cut() -> None:
    found = [
        Finding(code="MP3", severity=Severity.INFO, summary="i"),
        Finding(code="MP2", severity=Severity.WARNING, summary="w", evidence=tuple(f"e{n}" for n in range(10))),
        Finding(
            code="MP1", severity=Severity.ERROR, summary="e", cause="c", remedy=Remedy(text="t", commands=("x y",))
        ),
    ]
    lines = render(findings_text(found)).splitlines()
    assert lines[:4] == ["✗ MP1 e", "    c", "    → t", "      $ x y"]
    assert lines[4] == "! MP2 w" and "    - ... and 2 more (--format json)" in lines and "    - e8" not in lines
    assert lines[-1] == "· MP3 i"


def test_a_plan_with_one_error_counts_one(shop: Workshop) -> None:
    shop.checkpoints("base")
    text = render(plan_text(shop.plan("model: base\nrules: [{targets: [x], source: model}]\n")))
    assert "✗ this mixture cannot be served: 1 error\n" in text and "exactly one source" not in text


@pytest.mark.parametrize("digests, words", [
    ("same", "every tensor is what it was at the first load"), ("first", "digests kept for later loads"),
])  # fmt: skip
def test_an_account_says_what_digests_told(shop: Workshop, digests: str, words: str) -> None:
    shop.checkpoints("base", "gptq")
    plan = shop.plan("model: base\nsources: {gptq: {path: gptq}}\ndefault: gptq\n")
    assert words in " ".join(render(account_text(plan, (replace(ACCOUNT, digests=digests),))).split())
    assert words not in " ".join(render(account_text(plan, (ACCOUNT,))).split())


def test_an_account_shows_what_was_read_held_and_replaced(shop: Workshop) -> None:
    shop.checkpoints("base", "gptq")
    plan = shop.plan("model: base\nsources: {gptq: {path: gptq}}\ndefault: gptq\n")
    text = render(account_text(plan, (ACCOUNT, replace(ACCOUNT, rank=1, seconds=2.0))))
    assert "✓ 18 parameters filled, each exactly once, in 2.0 s, 750 B/s; read gptq 7 tensors 1.5 kB" in text
    assert "4.0 kB in tensors; the engine's process grew by 6.0 MB" in text
    assert "2 x gptq-int4-g16: GPTQMethod" in text and "Rotary" not in text
    assert text.count("! replaced Marlin: no [such] op") == 1
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["gptq-int4-g16"][3:5] == ["2.4", "kB"] and rows["other"] == ["other", "-", "16", "B", "-", "-"]


def test_an_engine_without_an_account_is_said(shop: Workshop) -> None:
    shop.checkpoints("base")
    assert "wrote no account" in render(account_text(shop.plan("model: base\n"), ()))


def test_progress_without_a_terminal_is_plain_lines(
    shop: Workshop, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.checkpoints("base")
    mix = read_mix(shop.mix("model: base\n"))
    launch = prepare(mix, make_plan(mix), root=cache, arguments=())
    launch = replace(launch, command=ServeCommand(words=("x",), host="::1", port=5))
    for show in (True, False):
        with TerminalObserver(show_log=show) as observer:
            observer.phase("starting the engine")
            observer.log("a [line] of [/the] engine")
            observer.loading(1, 10)
            observer.loading(10, 10)
            observer.ready(launch, ())
            observer.stopping()
        said = capsys.readouterr()
        assert said.out == "" and "\x1b" not in said.err
        assert "s starting the engine" in said.err and "stopping the engine" in said.err
        assert said.err.count("loading the planned tensors") == 1
        assert ("a [line] of [/the] engine" in said.err) is show
        assert "serving at http://[::1]:5/v1" in said.err


def test_a_rank_without_an_account_is_named(shop: Workshop) -> None:
    shop.checkpoints("base")
    plan = shop.plan("model: base\n", ranks=2)
    text = render(account_text(plan, (replace(ACCOUNT, world_size=2, refused=()),)))
    assert "no account came from rank 1 of 2" in text
