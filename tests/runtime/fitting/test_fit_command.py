"""``mixprec plan --fit`` as a user runs it, on a generated model: measured, solved, written, and planned again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="losses are measured with torch and transformers")
pytest.importorskip("transformers", reason="losses are measured with torch and transformers")
pytest.importorskip("scipy", reason="mixtures are solved with SciPy")

from click.testing import CliRunner, Result

from mixprec_runtime.cli.plan import plan
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from tests.runtime.adapters.torch.mixtures import FORMATS, write_mixture

LIMIT = 240.0  # seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fit")
    formats = {name: FORMATS[name] for name in ("awq", "gptq", "int8")}
    rules = "[{targets: ['re:.*_proj$'], source: awq}, {targets: [model.norm], source: model}]"
    write_mixture(root, formats, rules=rules)
    (root / "sources.yaml").write_text(
        "model: base\nsources: {awq: {path: awq}, gptq: {path: gptq}, int8: {path: int8}}\nengine: torch\n"
    )
    drawn = random.Random(3)  # noqa: S311  any words will do
    for name in ("choice", "judge"):
        (root / f"{name}.txt").write_text(" ".join(f"w{drawn.randrange(3, 96)}" for _ in range(700)))
    return root


@pytest.fixture(autouse=True)
def _cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", str(folder / "cache"))


def fit(folder: Path, *more: str, budget: str = "0.4") -> Result:
    texts = ["--text", str(folder / "choice.txt"), "--judge", str(folder / "judge.txt"), "--judge-tokens", "256"]
    return CliRunner().invoke(plan, [str(folder / "sources.yaml"), "--fit", budget, *texts, *more])


def test_a_fit_writes_a_mix_that_is_within_the_budget_and_better_than_what_is_smaller(folder: Path) -> None:
    found = fit(folder, "-o", str(folder / "mix.yaml"), "--format", "json", "--picture", str(folder / "mix.svg"))
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    made = make_plan(read_mix(folder / "mix.yaml"))
    assert made.valid
    assert not made.findings
    assert made.totals.bytes == told["chosen"]["bytes"] <= told["limit"]["bytes"]
    measured = {each["name"]: each for each in told["measured"]}
    assert measured["all model"]["divergence"] == 0.0
    assert measured["mixture"]["divergence"] < measured["all awq"]["divergence"]
    assert (folder / "mix.svg").read_text().startswith("<svg")


def test_without_a_file_the_mix_is_shown(folder: Path) -> None:
    found = fit(folder)
    assert found.exit_code == 0, found.output
    assert "\nmodel: " in found.stdout
    assert "rules:" in found.stdout


def test_what_was_measured_is_not_measured_again(folder: Path) -> None:
    first = fit(folder, "--format", "json", "--judge-tokens", "0")
    kept = ledgers(folder)
    again = fit(folder, "--format", "json", "--judge-tokens", "0", budget="loss:0.0005")
    assert first.exit_code == again.exit_code == 0
    assert ledgers(folder) == kept
    one, other = (json.loads(each.stdout) for each in (first, again))
    assert {**one["losses"], "seconds": 0} == {**other["losses"], "seconds": 0}
    assert other["chosen"]["loss"] <= 0.0005 < one["chosen"]["loss"]


def ledgers(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (folder / "cache" / "sensitivity").glob("*.jsonl")}


def test_errors_of_weights_need_no_text_and_no_model(folder: Path) -> None:
    found = fit(folder, "--format", "json", "--sensitivity", "error", "--judge-tokens", "0")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["losses"]["method"] == "error"
    assert told["measured"] == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--choose", "fp4"], "fp4"),
        (["--choose", "awq"], "two sources"),
        (["--picture", "x.png"], "ends with .svg or .html"),
        (["--format", "html"], "--picture FILE"),
        (["-o", "sources.yaml"], "--force"),
        (["-o", "nowhere/mix.yaml"], "no such folder"),
        (["--measure", "choice.txt"], "--judge"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_before_anything_is_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], words: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MIXPREC_CACHE", str(folder / "fresh"))
    found = fit(folder, *more)
    assert found.exit_code != 0
    assert words in found.output + str(found.exception)
    assert not (folder / "fresh" / "sensitivity").exists()


def test_a_budget_that_nothing_fits_into_says_how_much_is_missing(folder: Path) -> None:
    found = fit(folder, budget="1kB")
    assert found.exit_code != 0
    assert "0.3 MB more" in str(found.exception)


def test_options_of_a_fit_are_refused_without_one(folder: Path) -> None:
    found = CliRunner().invoke(plan, [str(folder / "sources.yaml"), "--sensitivity", "error"])
    assert found.exit_code == 2
    assert "--fit BUDGET" in found.output


def test_an_interrupted_fit_keeps_what_it_measured(folder: Path, tmp_path: Path) -> None:
    arguments = [
        sys.executable, "-m", "mixprec_runtime", "plan", str(folder / "sources.yaml"), "--fit", "0.4",
        "--text", str(folder / "choice.txt"), "--text-tokens", "640", "--judge-tokens", "0",
    ]  # fmt: skip
    environment = {**os.environ, "MIXPREC_CACHE": str(tmp_path)}
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        ledger = _first_line(tmp_path / "sensitivity", running)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=LIMIT)
    kept = ledger.read_text()
    assert kept
    assert b"Traceback" not in said
    if running.returncode:  # it may have been quicker
        assert running.returncode == 130
        assert b"what was measured is kept" in said
    subprocess.run(arguments, env=environment, check=True, capture_output=True, timeout=LIMIT)
    assert ledger.read_text().startswith(kept)


def _first_line(folder: Path, running: subprocess.Popen[bytes]) -> Path:
    ends = time.monotonic() + LIMIT
    while time.monotonic() < ends and running.poll() is None:
        for file in folder.glob("*.jsonl"):
            if '"' in file.read_text():
                return file
        time.sleep(0.01)
    raise AssertionError((running.poll(), running.stderr.read() if running.stderr else b""))
