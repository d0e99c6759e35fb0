"""Perplexities of a mixture beside its checkpoints: the same numbers as the reference, and no more said than was measured."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the embedded engine is torch and transformers")
pytest.importorskip("transformers", reason="the embedded engine is torch and transformers")

from click.testing import CliRunner  # noqa: E402

from mixprec_runtime.cli.plan import plan  # noqa: E402
from mixprec_runtime.measuring.child import MeasuringFailed  # noqa: E402
from mixprec_runtime.measuring.models import Candidate, candidates  # noqa: E402
from mixprec_runtime.measuring.quality import TooShort, measure_quality  # noqa: E402
from mixprec_runtime.mixfile.read import read_mix  # noqa: E402
from mixprec_runtime.records.quality import QualityReport  # noqa: E402
from mixprec_runtime.reference.perplexity import measure, windows  # noqa: E402
from mixprec_runtime.reference.weights import float32_mixture, float32_model  # noqa: E402
from tests.runtime.adapters.torch.mixtures import FORMATS, Made, write_mixture  # noqa: E402

WORDS = 200
WINDOW = 20


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Made:
    chosen = {name: FORMATS[name] for name in ("gptq", "int8")}
    rules = r"""
  - {targets: ['re:.*mlp\..*_proj$'], source: gptq}
  - {targets: ['re:.*self_attn\..*_proj$'], source: int8}
"""
    return write_mixture(tmp_path_factory.mktemp("measured"), chosen, rules=rules)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = random.Random(3)  # noqa: S311  any words will do
    file = tmp_path_factory.mktemp("text") / "words.txt"
    file.write_text(" ".join(f"w{chosen.randrange(3, 96)}" for _ in range(WORDS)))
    return file


@pytest.fixture(scope="module")
def report(mixture: Made, text: Path, tmp_path_factory: pytest.TempPathFactory) -> QualityReport:
    told: list[tuple[int, int, str]] = []
    root = tmp_path_factory.mktemp("runs")
    models = candidates(read_mix(mixture.file), mixture.plan, root=root)
    broken = Candidate(name="broken", bytes=1, folder=root / "nowhere")
    absent = Candidate(name="absent", bytes=1, folder=None, fault="has not all linear layers: q")
    found = measure_quality(
        [*models[:2], broken, absent, *models[2:]], text, most_tokens=150, window=WINDOW, dtype="float32",
        progress=lambda *now: told.append(now),
    )  # fmt: skip
    done = [each[0] for each in told]
    assert done == sorted(done)
    assert (told[-1][0], told[-1][2]) == (8 * len(models), "int8")
    return found


def test_the_mixture_and_each_checkpoint_alone_are_measured_on_the_same_windows(report: QualityReport) -> None:
    measured = {model.name: model for model in report.models if model.fault is None}
    assert list(measured) == ["mixture", "model", "gptq", "int8"]
    assert all(len(model.nats) == len(report.scored) for model in measured.values())
    assert (report.text_tokens, report.window, report.scored) == (WORDS, WINDOW, (19,) * 7 + (9,))
    sizes = {name: model.bytes for name, model in measured.items()}
    assert sizes["gptq"] < sizes["mixture"] < sizes["int8"] < sizes["model"]


def test_a_model_that_cannot_be_loaded_keeps_its_fault_and_the_next_is_measured(report: QualityReport) -> None:
    broken, absent = report.models[2:4]
    assert broken.fault is not None and "nowhere" in broken.fault
    assert absent.fault == "has not all linear layers: q"
    assert report.perplexity(broken) is report.beside(absent, report.models[1]) is None
    assert report.models[4].fault is None


def test_the_figures_are_those_of_the_float32_weights(report: QualityReport, mixture: Made, text: Path) -> None:
    tokens = [int(word[1:]) for word in text.read_text().split()][:150]
    base = mixture.file.parent / "base"
    sources = {
        layer.layer: mixture.plan.sources[layer.source].path
        for layer in mixture.plan.layers
        if mixture.plan.sources[layer.source].path != base
    }
    for model in (report.models[0], report.models[1]):
        state = float32_mixture(base, sources if model.name == "mixture" else {})
        wanted = measure(float32_model(base, state), windows(tokens, length=WINDOW))
        assert report.perplexity(model) == pytest.approx(wanted.value, rel=1e-3)
        assert report.tokens == wanted.tokens


def test_a_child_that_dies_is_told_with_its_last_words(mixture: Made, tmp_path: Path) -> None:
    (whole,) = candidates(read_mix(mixture.file), mixture.plan, root=tmp_path)[:1]
    with pytest.raises(MeasuringFailed, match="FileNotFoundError"):
        measure_quality([whole], tmp_path / "none", most_tokens=9, window=9, dtype="auto", progress=lambda *now: None)


def test_a_text_of_one_token_measures_nothing(mixture: Made, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("w5")
    (whole,) = candidates(read_mix(mixture.file), mixture.plan, root=tmp_path)[:1]
    with pytest.raises(TooShort, match=r"one.txt has 1"):
        measure_quality(
            [whole], tmp_path / "one.txt", most_tokens=9, window=9, dtype="auto", progress=lambda *now: None
        )


def test_plan_measures_a_text_and_says_on_how_much_it_rests(
    mixture: Made, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path))
    asked = [str(mixture.file), "--measure", str(text), "--measure-tokens", "100"]
    said = CliRunner().invoke(plan, asked)
    assert said.exit_code == 0, said.output
    assert "words.txt: 99 tokens scored, of the first 100 of its 200, in 1 window of at most 128" in said.output
    assert "no ± with fewer than 8 windows" in said.output
    assert CliRunner().invoke(plan, [*asked, "--format", "svg"]).exit_code == 2
