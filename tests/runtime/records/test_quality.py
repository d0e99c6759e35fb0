"""Figures of a quality report: paired over the windows, and silent where they would say too much."""

from __future__ import annotations

import math

import pytest

from mixprec_runtime.records.quality import MeasuredModel, QualityReport
from mixprec_runtime.reports.console import render
from mixprec_runtime.reports.quality_text import quality_text

SCORED = (10,) * 8
BASE = MeasuredModel(name="model", bytes=200, nats=tuple(20.0 + at for at in range(8)), seconds=1.0)


def report(*models: MeasuredModel, scored: tuple[int, ...] = SCORED) -> QualityReport:
    return QualityReport(
        text="/there/words.txt", engine="torch", dtype="auto", text_tokens=1000, window=11, scored=scored,
        models=models,
    )  # fmt: skip


def model(*nats: float) -> MeasuredModel:
    return MeasuredModel(name="mixture", bytes=100, nats=nats, seconds=2.0)


def test_perplexity_is_that_of_the_mean_token() -> None:
    assert report(BASE).perplexity(BASE) == pytest.approx(math.exp(sum(BASE.nats) / 80))


def test_a_difference_that_is_the_same_in_each_window_is_certain() -> None:
    worse = model(*(nats + 1 for nats in BASE.nats))
    assert report(worse, BASE).beside(worse, BASE) == (pytest.approx(0.1), pytest.approx(0.0, abs=1e-12))


def test_the_error_of_a_difference_is_that_of_the_mean_over_windows() -> None:
    off = (1, -1) * 4
    found = model(*(nats + by for nats, by in zip(BASE.nats, off, strict=True)))
    mean, error = report(found, BASE).beside(found, BASE) or (1.0, None)
    spread = math.sqrt(sum((by / 10) ** 2 for by in off) / 7)
    assert (mean, error) == (pytest.approx(0.0, abs=1e-12), pytest.approx(spread / math.sqrt(8)))


def test_few_windows_have_no_error_and_a_fault_has_no_figure() -> None:
    few = model(1.0, 2.0)
    base = MeasuredModel(name="model", bytes=200, nats=(1.0, 1.0))
    broken = MeasuredModel(name="awq", bytes=50, fault="MP636 norms differ")
    found = report(few, base, broken, scored=(10, 10))
    assert found.beside(few, base) == (pytest.approx(0.05), None)
    assert (found.perplexity(broken), found.beside(broken, base)) == (None, None)
    told = {each["name"]: each for each in found.to_json()["models"]}  # type: ignore[attr-defined]
    assert (told["awq"]["perplexity"], told["awq"]["fault"]) == (None, "MP636 norms differ")
    assert told["mixture"]["standard_error"] is None


def test_the_text_names_each_model_and_what_the_figures_rest_on() -> None:
    worse = model(*(nats + 1 for nats in BASE.nats))
    broken = MeasuredModel(name="awq", bytes=50, fault="MP636 norms differ")
    said = render(quality_text(report(worse, BASE, broken)))
    assert "this mixture" in said and "+0.1000 ± 0.0000" in said
    assert "! awq alone: MP636 norms differ" in said
    assert "words.txt: 80 tokens scored, of the first 88 of its 1,000, in 8 windows of at most 11" in said
