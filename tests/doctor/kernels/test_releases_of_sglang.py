"""SGLang's earlier releases with and without vLLM: run where ``MIXPREC_TEST_RELEASES`` names a folder of releases.

It holds unpacked releases as ``sglang-0.4.7/sglang/...`` and ``vllm-0.9.0.1/vllm/...``. Nothing of them is imported.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mixprec_doctor.environment.reading import read_environment
from mixprec_doctor.environment.target import Target
from mixprec_doctor.kernels.choosing import choose
from mixprec_doctor.kernels.engine import EngineKernels, open_kernels
from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Tier
from mixprec_doctor.records.workload import LinearShape
from mixprec_doctor.resolving.engine import EngineSource
from mixprec_doctor.resolving.layout import find_layout
from mixprec_doctor.source.sources import Sources
from tests.doctor.kernels.small_engine import machine

FOLDER = Path(os.environ.get("MIXPREC_TEST_RELEASES", "nowhere"))
SGLANG, VLLM = FOLDER / "sglang-0.4.7", FOLDER / "vllm-0.9.0.1"
pytestmark = pytest.mark.skipif(
    not SGLANG.is_dir() or not VLLM.is_dir(), reason="MIXPREC_TEST_RELEASES has no sglang-0.4.7 and vllm-0.9.0.1"
)
GPTQ = Format(kind=FormatKind.GPTQ, bits=4, group=128, symmetric=True)
AWQ = Format(kind=FormatKind.AWQ, bits=4, group=128, symmetric=False)
FP8 = Format(kind=FormatKind.FP8, bits=8, scale="tensor", activation=Activation.DYNAMIC)
INT8_BLOCK = Format(kind=FormatKind.INT8, bits=8, scale="block", block=(128, 128), activation=Activation.DYNAMIC)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path / "cache"))


def chosen(kernels: EngineKernels | None, form: Format) -> KernelChoice:
    """The choice on an H100."""
    assert kernels is not None
    shape = LinearShape(inputs=4096, outputs=(4096,), full_inputs=4096, full_outputs=(4096,))
    return choose(form, shape, "bfloat16", machine("9.0"), kernels)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> EngineKernels | None:
    """SGLang in an environment in which nothing else is installed."""
    folder = tmp_path_factory.mktemp("alone")
    for package in SGLANG.iterdir():
        (folder / package.name).symlink_to(package)
    return open_kernels(read_environment(Target(site_packages=folder)), "sglang")


@pytest.fixture(scope="module")
def beside_vllm(tmp_path_factory: pytest.TempPathFactory) -> EngineKernels:
    """SGLang and vLLM as source, which says nothing of what else is there."""
    folder = tmp_path_factory.mktemp("beside")
    for package in (SGLANG / "sglang", VLLM / "vllm"):
        (folder / package.name).symlink_to(package)
    return EngineKernels(EngineSource(Sources.of_folder(folder), find_layout("sglang")))


@pytest.mark.parametrize("form", [GPTQ, AWQ], ids=lambda form: form.name)
def test_without_vllm_a_portable_kernel_serves_what_the_engine_refuses(
    alone: EngineKernels | None, form: Format
) -> None:
    choice = chosen(alone, form)
    assert choice.winner is not None
    assert choice.winner.tier is Tier.PORTABLE
    natives = [each for each in choice.verdicts if each.tier is Tier.NATIVE]
    assert natives
    assert all("pip install vllm==0.9.0.1" in each.reasons[0] for each in natives)


@pytest.mark.parametrize("form", [FP8, INT8_BLOCK], ids=lambda form: form.name)
def test_without_vllm_the_engine_serves_the_formats_that_need_none(alone: EngineKernels | None, form: Format) -> None:
    choice = chosen(alone, form)
    assert choice.winner is not None
    assert choice.winner.tier is Tier.NATIVE


def test_with_vllm_its_kernels_serve(beside_vllm: EngineKernels) -> None:
    gptq, awq = chosen(beside_vllm, GPTQ).winner, chosen(beside_vllm, AWQ).winner
    assert gptq is not None and awq is not None
    assert (gptq.candidate, gptq.module) == (
        "MacheteLinearKernel",
        "vllm.model_executor.layers.quantization.kernels.mixed_precision.machete",
    )
    assert (awq.candidate, awq.tier) == ("AWQMarlinLinearMethod", Tier.NATIVE)
