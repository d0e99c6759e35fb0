"""Kernels proved with the layers of a real SGLang, which is asked from outside; without a GPU only portable ones work."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_doctor.probe import usual_limits
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Tier, Verdict
from mixprec_doctor.records.workload import Workload
from mixprec_runtime.verifying import prove, standard_workload
from mixprec_runtime.verifying.standard import STANDARD_FORMATS

pytestmark = pytest.mark.engine

PYTHON = os.environ.get("MIXPREC_TEST_PYTHON", sys.executable)
LOOK = "import importlib.util as util, sys; sys.exit(util.find_spec('sglang') is None)"
if subprocess.run([PYTHON, "-c", LOOK], check=False).returncode:
    pytest.skip(f"{PYTHON} has no SGLang", allow_module_level=True)

LIMIT = 300.0  # seconds for one answer: importing alone takes half a minute, on a busy machine much more
PLAIN, FP8 = STANDARD_FORMATS[0], next(form for form in STANDARD_FORMATS if form.kind is FormatKind.FP8)
INT4 = next(form for form in STANDARD_FORMATS if form.kind is FormatKind.GPTQ and form.act_order)
ABORTING = """
import importlib.abc, importlib.machinery, os, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "sglang.srt.layers.quantization.fp8":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            module.Fp8LinearMethod.process_weights_after_loading = lambda *args, **kwargs: os.abort()
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


def proved(workload: Workload) -> tuple[KernelChoice, ...]:
    return prove(workload, python=PYTHON, engine="sglang", limits=usual_limits(LIMIT))


def natives(choice: KernelChoice) -> list[Verdict]:
    return [each for each in choice.verdicts if each.tier is Tier.NATIVE]


@pytest.fixture(scope="module")
def standard() -> dict[Format, KernelChoice]:
    """What came of a generated layer of each format."""
    return {choice.format: choice for choice in proved(standard_workload())}


@pytest.mark.parametrize("form", STANDARD_FORMATS, ids=lambda form: f"{form.name} {form.details}".strip())
def test_every_format_has_a_kernel_that_gives_right_numbers(standard: dict[Format, KernelChoice], form: Format) -> None:
    winner = standard[form].winner
    assert winner is not None
    assert winner.tier in (Tier.NATIVE, Tier.PORTABLE), winner
    assert winner.proof is not None
    assert winner.proof.error is not None
    assert winner.proof.bound is not None
    assert 0 < winner.proof.error <= winner.proof.bound
    assert len(winner.proof.timings) == 2
    assert winner.proof.held_bytes


@pytest.mark.parametrize("form", STANDARD_FORMATS, ids=lambda form: f"{form.name} {form.details}".strip())
def test_a_portable_kernel_serves_only_where_the_engines_own_did_not(
    standard: dict[Format, KernelChoice], form: Format
) -> None:
    choice = standard[form]
    if choice.winner is not None and choice.winner.tier is Tier.PORTABLE:
        assert natives(choice)
        assert all(each.accepted is False and each.reasons for each in natives(choice))


def test_sixteen_bits_stay_with_the_engine(standard: dict[Format, KernelChoice]) -> None:
    winner = standard[PLAIN].winner
    assert winner is not None
    assert winner.tier is Tier.NATIVE


def test_a_portable_kernel_keeps_weights_compressed(standard: dict[Format, KernelChoice]) -> None:
    for form, choice in standard.items():
        winner = choice.winner
        if winner is not None and winner.tier is Tier.PORTABLE and winner.proof and winner.proof.held_bytes:
            weights = choice.shape.inputs * choice.shape.out * form.bits / 8
            assert winner.proof.held_bytes < 1.2 * weights, form


def test_layers_of_every_partition_load_through_the_engines_own_loaders() -> None:
    whole = standard_workload((PLAIN, FP8, INT4))
    single = {"outputs": (512,), "full_outputs": (512,)}
    layers = tuple(
        replace(layer, shape=replace(layer.shape, partition=partition, **single), source=f"{layer.source} {partition}")
        for layer in whole.layers
        for partition in ("row", "column", "replicated")
    )
    for choice in proved(replace(whole, layers=layers)):
        assert choice.winner is not None
        assert choice.winner.proof is not None
        assert choice.winner.proof.worked, choice


def test_a_kernel_that_aborts_is_a_verdict_and_the_next_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(ABORTING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (choice,) = proved(standard_workload((FP8,)))
    crashed = [each for each in natives(choice) if any("SIGABRT" in reason for reason in each.reasons)]
    assert [each.candidate for each in crashed][:1] == ["Fp8LinearMethod"]
    assert choice.winner is not None
    assert choice.winner.proof is not None
    assert choice.winner.proof.worked
