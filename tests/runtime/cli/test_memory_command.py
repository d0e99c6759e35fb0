"""``mixprec memory`` and the pictures of ``mixprec plan`` as a user types them; and what a launch leaves behind."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mixprec_runtime.launching.launch import prepare
from mixprec_runtime.launching.memory import MEMORY_FILE
from mixprec_runtime.loading.state import write_account
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.reports.memory_forms import keep_memory
from tests.runtime.builders import Workshop
from tests.runtime.cli.test_commands import MIX, Command, engine, mixprec, mixture  # noqa: F401  fixtures
from tests.runtime.planning.test_memory import engine_that_keeps_layouts


@pytest.fixture
def launched(mixture: Workshop, cache: Path) -> Path:  # noqa: F811
    """The folder of a launch whose engine held every layer in the checkpoint's own layout."""
    folder = cache / "launches" / "mix-1-2-x"
    folder.mkdir(parents=True)
    mix = read_mix(mixture.mix(MIX))
    plan = make_plan(mix)
    accounts = engine_that_keeps_layouts(plan)
    for account in accounts:
        write_account(folder, account)
    launch = prepare(mix, plan, root=cache, arguments=())
    assert keep_memory(launch, accounts, folder) == f"memory, layer by layer: {folder / 'memory.html'}"
    return folder


def test_a_launch_leaves_a_document_and_a_page_that_can_be_shown_again(launched: Path, mixprec: Command) -> None:  # noqa: F811
    document = json.loads((launched / MEMORY_FILE).read_text(encoding="utf-8"))
    assert document["measured"] is True
    for words in ((), (launched,), (launched / MEMORY_FILE,)):
        said = mixprec("memory", *words, "--format", "json")
        assert (said.code, said.err, json.loads(said.out)) == (0, "", document)
    assert mixprec("memory", "--format", "html").out == (launched / "memory.html").read_text(encoding="utf-8")
    text = mixprec("memory", launched, "--every-layer").out
    assert "int8 alone" in text and "model.layers.1.mlp.gate_up_proj" in text and "process grew" in text


def test_the_latest_launch_is_shown_when_none_is_named(launched: Path, mixprec: Command) -> None:  # noqa: F811
    later = launched.with_name("mix-2-3-y")
    later.mkdir()
    document = json.loads((launched / MEMORY_FILE).read_text(encoding="utf-8"))
    (later / MEMORY_FILE).write_text(json.dumps({**document, "mix": "later.yaml"}), encoding="utf-8")
    os.utime(launched / MEMORY_FILE, (1, 1))
    assert "memory of later.yaml" in mixprec("memory").out


def test_a_mix_file_is_joined_with_what_an_engine_wrote(launched: Path, mixture: Workshop, mixprec: Command) -> None:  # noqa: F811
    (launched / MEMORY_FILE).unlink()
    said = mixprec("memory", launched)
    assert said.code == 2 and f"mixprec memory MIX --measured {launched}" in said.err
    text = mixprec("memory", mixture.root / "mix.yaml", "--measured", launched).out
    assert "repacked" in text and "nothing has been loaded" not in text
    said = mixprec("memory", mixture.root / "mix.yaml", "--measured", launched, "-tp", "2")
    assert said.code == 2 and "1 of 1 ranks told of their load; the plan has 2" in said.err
    said = mixprec("memory", mixture.root / "mix.yaml", "--measured", mixture.root / "base")
    assert said.code == 2 and "holds no account of a load" in said.err


@pytest.mark.parametrize("command", ["plan", "memory"])
def test_a_plan_is_drawn(command: str, mixture: Workshop, mixprec: Command) -> None:  # noqa: F811
    mix = mixture.mix(MIX)
    file = mixture.root / "picture.svg"
    said = mixprec(command, mix, "--format", "svg", "-o", file)
    assert (said.code, said.out, said.err) == (0, "", "")
    ET.parse(file)  # noqa: S314
    by_suffix = mixture.root / "again.svg"
    mixprec(command, mix, "-o", by_suffix)
    assert by_suffix.read_bytes() == file.read_bytes()
    page = mixprec(command, mix, "--format", "html").out
    assert page.startswith("<!DOCTYPE html>") and "awq alone" in page


def test_a_plan_compares_the_mixture_with_each_checkpoint(mixture: Workshop, mixprec: Command) -> None:  # noqa: F811
    mix = mixture.mix(MIX)
    text = mixprec("plan", mix).out
    assert "this mixture" in text and "gptq alone" in text and "the same in BF16" in text
    document = json.loads(mixprec("plan", mix, "--format", "json").out)
    sizes = {each["source"]: each["bytes"] for each in document["uniform"]}
    assert list(sizes) == ["model", "gptq", "awq", "int8"]
    assert sizes["int8"] == document["totals"]["bytes"]


def test_what_cannot_be_served_is_not_drawn(mixture: Workshop, mixprec: Command) -> None:  # noqa: F811
    mix = mixture.mix(f"{MIX}rules: [{{targets: [nothing], source: awq}}]\n")
    for words in (("plan", mix, "--format", "svg"), ("memory", mix)):
        said = mixprec(*words)
        assert said.code == 1 and "MP620" in said.err and said.out == ""


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"totals": {"ranks": []}, "units": 7}'])
def test_a_damaged_report_is_said_to_be_one(content: str, launched: Path, mixprec: Command) -> None:  # noqa: F811
    (launched / MEMORY_FILE).write_text(content, encoding="utf-8")
    said = mixprec("memory", launched)
    assert said.code == 2 and "memory.json" in said.err and "cannot be read" in said.err


def test_nothing_launched_yet_is_said(mixprec: Command, cache: Path) -> None:  # noqa: F811
    said = mixprec("memory")
    assert said.code == 2 and "no report of a launch" in said.err
    assert mixprec("memory", cache, "-tp", "2").code == 2


def test_a_report_that_cannot_be_written_ends_no_launch(mixture: Workshop, cache: Path) -> None:  # noqa: F811
    mix = read_mix(mixture.mix(MIX))
    plan = make_plan(mix)
    launch = prepare(mix, plan, root=cache, arguments=())
    said = keep_memory(launch, engine_that_keeps_layouts(plan), cache / "gone")
    assert said.startswith("no memory report: ")
    two = engine_that_keeps_layouts(make_plan(mix, tensor_parallel_size=2))
    assert "2 of 2 ranks" in keep_memory(launch, two, mixture.root)
