"""The commands as a user types them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mixprec_doctor.cli.lazy import run_command_line
from mixprec_doctor.cli.main import group
from tests.doctor.conftest import FakeEnvironment
from tests.doctor.engines import SGLANG, VLLM


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mixprec", *map(str, arguments)])
    return run_command_line(group, name="mixprec")


@pytest.fixture
def vllm(fake: FakeEnvironment) -> FakeEnvironment:
    fake.install("vllm", "0.32.0", files=VLLM)
    return fake


def test_doctor_reports_and_exits_clean(
    vllm: FakeEnvironment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "doctor", "--site-packages", vllm.root) == 0
    assert "nothing found against vllm 0.32.0" in capsys.readouterr().out


def test_doctor_exits_with_one_for_errors(fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "doctor", "--site-packages", fake.root) == 1
    assert run(monkeypatch, "doctor", "--site-packages", fake.root, "--ignore", "MP101") == 0


def test_doctor_writes_json_to_a_file(
    vllm: FakeEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    assert run(monkeypatch, "doctor", "--site-packages", vllm.root, "--format", "json", "-o", out) == 0
    assert json.loads(out.read_text())["schema"] == "mixprec.report/1"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("arguments, words", [
    (["doctor", "--python", "/no/such"], "no such interpreter"),
    (["doctor", "--site-packages", "/no/such"], "no such folder"),
    (["doctor", "--python", "a", "--site-packages", "b"], "give one"),
    (["doctor", "--select", "MP999"], "known: MP101"),
    (["doctor", "--engine", "triton"], "triton"),
    (["explain", "MP999"], "known: MP101"),
    (["resolve", "--role", "nonsense"], "fp8.config"),
    (["resolve", "vllm==0.10", "--python", "python3"], "is read by itself"),
    (["resolve", "vllm = 0.10"], "vllm = 0.10"),
    (["resolve", "."], "--site-packages"),
    (["resolve", "--role", "fp8.config", "--symbol", "A"], "give one"),
])  # fmt: skip
def test_misuse_is_said_and_exits_with_two(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


def test_an_unreadable_environment_exits_with_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyvenv.cfg").touch()
    assert run(monkeypatch, "doctor", "--site-packages", tmp_path) == 3


def test_an_output_that_cannot_be_written_is_misuse(
    vllm: FakeEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, "doctor", "--site-packages", vllm.root, "-o", tmp_path / "no" / "file") == 2


def test_resolve_shows_import_and_signature(
    vllm: FakeEnvironment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "resolve", "--site-packages", vllm.site, "--role", "gptq.linear_method") == 0
    out = capsys.readouterr().out
    assert "from vllm.model_executor.layers.quantization.gptq import GPTQLinearMethod" in out
    assert "call: GPTQLinearMethod(quant_config=<config>)" in out


def test_resolve_excuses_what_the_engine_has_no_counterpart_of_unless_asked(
    vllm: FakeEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, "resolve", "--site-packages", vllm.site) == 0
    assert run(monkeypatch, "resolve", "--site-packages", vllm.site, "--role", "w8a8_int8.config") == 1


def test_resolve_symbols_as_the_document_of_the_contract(
    vllm: FakeEnvironment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["resolve", "--site-packages", vllm.site, "--symbol", "LoadConfig", "--symbol", "Gone"]
    assert run(monkeypatch, *arguments, "--format", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["package"], document["version"]) == ("mixprec.resolve/1", "vllm", "0.32.0")
    load_config, gone = document["symbols"]
    assert load_config["defined"] == [{"module": "vllm.config.load", "parameters": [], "doubt": None}]
    assert {each["module"]: each["how"] for each in load_config["importable"]} == {
        "vllm.config": "reexport",
        "vllm.config.load": "definition",
    }
    assert (gone["defined"], gone["importable"]) == ([], [])


def test_resolve_without_an_engine_examined_nothing(fake: FakeEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "resolve", "--site-packages", fake.site) == 3


def test_resolve_asks_which_of_two_engines(
    vllm: FakeEnvironment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vllm.install("sglang", "0.5.21", files=SGLANG)
    assert run(monkeypatch, "resolve", "--site-packages", vllm.site) == 2
    assert "--engine" in capsys.readouterr().err
    assert run(monkeypatch, "resolve", "--site-packages", vllm.site, "--engine", "sglang") == 0


def test_explain_shows_example_and_cure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "explain", "mp401") == 0
    out = capsys.readouterr().out
    assert out.startswith("MP401 CUDA build beside a CPU build of torch")
    assert "Example: " in out
    assert "Cure: " in out
