"""A chosen mixture is written as a mix file that says how it came about, and that reads back as just that choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_runtime.fitting.choices import problem_of
from mixprec_runtime.fitting.mixtext import CannotWriteMix, MixThere, mix_text, write_mix
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.fit import Losses, MeasuredMixture
from mixprec_runtime.records.fit_report import FitReport, mixture_of
from mixprec_runtime.records.mix import Mix
from tests.runtime.builders import Workshop
from tests.runtime.fitting.zoo import random_choice, read, zoo_mixes


def report_of(mix: Mix, *, seed: int = 0, method: str = "kl") -> FitReport:
    problem = problem_of(mix)
    alone = {(unit.name, option.source): 0.01 for unit in problem.units for option in unit.options}
    losses = Losses(method=method, alone=alone, text="three licences", tokens=2048)
    chosen = random_choice(problem, seed)
    assert chosen is not None
    return FitReport(
        mix=str(mix.file), asked="0.5", goal="least loss under 140.0 MB", problem=problem, losses=losses,
        chosen=mixture_of(problem, losses, chosen),
    )  # fmt: skip


def text_of(
    report: FitReport, mix: Mix, *, folder: Path, command: str = "mixprec plan", date: str = "2030-01-02"
) -> str:
    return mix_text(report, mix, folder=folder, command=command, date=date)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mix]:
    return zoo_mixes(tmp_path_factory)


@pytest.mark.parametrize(
    "name", ["plain", "tied", "smoothed", "experts", "folded", "ruled", "tower", "scaled", "parallel"]
)
def test_what_is_written_reads_back_as_the_choice(zoo: Mapping[str, Mix], name: str, tmp_path: Path) -> None:
    report = report_of(zoo[name])
    file = tmp_path / "deep" / "mix.yaml"
    file.parent.mkdir()
    text = write_mix(report, zoo[name], file=file, command="mixprec plan --fit 0.5 sources.yaml", date="2030-01-02")
    assert file.read_text(encoding="utf-8") == text
    plan = make_plan(read_mix(file))
    assert plan.valid and not {finding.code for finding in plan.findings} & {"MP620", "MP621"}
    assert plan.totals.bytes == report.chosen.bytes
    sources = {layer.layer: layer.source for layer in plan.layers}
    for unit in report.problem.units:
        assert {sources[module] for module in unit.modules if module in sources} <= {report.chosen.sources[unit.name]}
    assert [each.name for each in file.parent.iterdir()] == ["mix.yaml"], "nothing is left beside it"


def test_the_text_says_how_it_was_made_and_what_each_rule_takes(shop: Workshop) -> None:
    shop.checkpoints("base", "gptq", "fp8")
    mix = read(shop, "gptq", "fp8", more="ignore: [lm_head]\n")
    report = report_of(mix)
    chosen = {unit.name: "fp8" if "attn" in unit.kind else "gptq" for unit in report.problem.units}
    report = replace(
        report,
        chosen=mixture_of(report.problem, report.losses, chosen),
        measured=(MeasuredMixture(name="all gptq", bytes=2_000_000, divergence=0.25, nats=3.0, tokens=512),),
        measured_text="the judge's text",
    )
    report = replace(report, mix="sources.yaml")
    lines = text_of(report, mix, folder=shop.root, command="mixprec plan --fit 0.5").splitlines()
    assert lines[:5] == [
        "# 2030-01-02: least loss under 140.0 MB, chosen from sources.yaml by `mixprec plan --fit 0.5`",
        "# Bytes: 22.1 kB; gptq-int4-g16 9.1 kB, fp8-channel 6.5 kB, bf16 6.5 kB",
        "# Predicted: 0.0800 nats a token lost by divergence on three licences, 2,048 tokens",
        "# Measured on the judge's text:",
        "#   all gptq: 2.0 MB, perplexity 20.09, divergence 0.2500",
    ]
    (rule,) = [line for line in lines if "targets" in line]
    assert rule.startswith(r"  - {targets: ['re:.*\.mlp\..*'], source: gptq}  # 2 of 2 layers, ")


def test_relative_paths_follow_the_file_and_others_stay(shop: Workshop, tmp_path: Path) -> None:
    shop.checkpoints("base", "gptq", "fp8")
    text = f"model: base\nsources: {{gptq: {{path: ./gptq}}, fp8: {{path: {shop.root / 'fp8'}}}}}\n"
    mix = read_mix(shop.mix(text))
    report = report_of(mix)
    chosen = {unit.name: "fp8" if "attn" in unit.kind else "gptq" for unit in report.problem.units}
    report = replace(report, chosen=mixture_of(report.problem, report.losses, chosen))
    beside = yaml.safe_load(text_of(report, mix, folder=shop.root))
    assert (beside["model"], beside["sources"]["gptq"]["path"]) == ("./base", "./gptq")
    below = yaml.safe_load(text_of(report, mix, folder=shop.root / "a" / "b"))
    assert (below["model"], below["sources"]["gptq"]["path"]) == ("../../base", "../../gptq")
    assert beside["sources"]["fp8"] == below["sources"]["fp8"] == {"path": str(shop.root / "fp8")}


def test_ids_on_the_hub_stay_with_a_note_of_the_commit(shop: Workshop) -> None:
    shop.checkpoints("base", "gptq")
    mix = read(shop, "gptq", more="default: gptq\n")
    report = report_of(mix)
    shop.mix("model: base\nsources: {gptq: {path: 'some/model@main'}}\n")
    mix = replace(mix, sources={"gptq": replace(mix.sources["gptq"], hub="some/model@0123abc")})
    chosen = dict.fromkeys(report.chosen.sources, "gptq")
    text = text_of(
        replace(report, chosen=mixture_of(report.problem, report.losses, chosen)), mix, folder=shop.root / "a"
    )
    assert "  gptq: {path: some/model@main}  # chosen with some/model@0123abc\n" in text


def test_sources_that_nothing_comes_from_are_left_out_and_what_is_served_stays(shop: Workshop) -> None:
    shop.checkpoints("base", "gptq", "fp8")
    more = "engine: torch\nserve: {max_model_len: 64, 'odd: key': [\"it's\", '#x'], enforce_eager: true}\n"
    mix = read(shop, "gptq", "fp8", more=more)
    report = report_of(mix)
    chosen = dict.fromkeys(report.chosen.sources, "gptq")
    report = replace(report, chosen=mixture_of(report.problem, report.losses, chosen))
    written = yaml.safe_load(text_of(report, mix, folder=shop.root))
    assert list(written["sources"]) == ["gptq"]
    assert (written["engine"], written["serve"]) == ("torch", mix.serve)


def test_a_file_is_not_written_over_unless_it_may_be(zoo: Mapping[str, Mix], tmp_path: Path) -> None:
    report, mix, file = report_of(zoo["plain"]), zoo["plain"], tmp_path / "mix.yaml"
    file.write_text("mine")
    with pytest.raises(MixThere, match="--force"):
        write_mix(report, mix, file=file, command="", date="")
    assert file.read_text() == "mine"
    write_mix(report, mix, file=file, command="", date="", force=True)
    assert make_plan(read_mix(file)).valid
    with pytest.raises(CannotWriteMix, match="No such file"):
        write_mix(report, mix, file=tmp_path / "nowhere" / "mix.yaml", command="", date="")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotWriteMix):
        write_mix(report, mix, file=tmp_path / "folder", command="", date="", force=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "mix.yaml"]


@pytest.fixture(scope="module")
def told(zoo: Mapping[str, Mix]) -> tuple[FitReport, Mix, object]:
    report = report_of(zoo["plain"])
    return report, zoo["plain"], yaml.safe_load(text_of(report, zoo["plain"], folder=zoo["plain"].file.parent))


@settings(max_examples=10, deadline=None)
@given(st.text(), st.text(st.sampled_from("\n\r\x85\u2028\u2029\x00\ufeff\x1b\ud800#: {a"), max_size=40))
def test_no_text_in_a_comment_breaks_the_file(told: tuple[FitReport, Mix, object], one: str, two: str) -> None:
    report, mix, plain = told
    measured = MeasuredMixture(name=two, bytes=1, divergence=0.0, nats=0.0, tokens=1)
    odd = replace(
        report, goal=two, mix=one, losses=replace(report.losses, text=two), measured=(measured,), measured_text=one
    )
    text = text_of(odd, mix, folder=mix.file.parent, command=one, date=two)
    assert yaml.safe_load(text) == plain
    text.encode("utf-8")


def test_the_loss_of_weights_is_named_as_such(zoo: Mapping[str, Mix]) -> None:
    text = text_of(report_of(zoo["plain"], method="error"), zoo["plain"], folder=Path())
    assert "of relative error of the weights" in text and "nats" not in text
