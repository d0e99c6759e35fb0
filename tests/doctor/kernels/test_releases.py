"""What is known of releases of vLLM holds in what is read of them: run where ``MIXPREC_TEST_RELEASES`` names a folder.

It holds unpacked releases as ``vllm-0.32.0/vllm/...``. Nothing of them is imported.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from packaging.version import Version

from mixprec_doctor.kernels.choosing import choose
from mixprec_doctor.kernels.engine import EngineKernels
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Tier, Verdict
from mixprec_doctor.records.workload import LinearShape
from mixprec_doctor.resolving.engine import EngineSource
from mixprec_doctor.resolving.layout import find_layout
from mixprec_doctor.source.sources import Sources
from tests.doctor.kernels.small_engine import machine

FOLDER = os.environ.get("MIXPREC_TEST_RELEASES")
FOUND = sorted(Path(FOLDER).glob("vllm-*"), key=lambda each: Version(each.name.partition("-")[2])) if FOLDER else []
RELEASES = [each for each in FOUND if Version(each.name.partition("-")[2]) >= Version("0.9.2")]
SYMMETRIC = Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "release" in metafunc.fixturenames:
        why = "MIXPREC_TEST_RELEASES names no folder with unpacked releases vllm-0.9.2 and later"
        given = RELEASES or [pytest.param(Path(), marks=pytest.mark.skip(reason=why))]
        metafunc.parametrize("release", given, ids=lambda each: each.name or "none")


def chosen(release: Path, capability: str | None, *, outputs: int = 4096) -> KernelChoice:
    kernels = EngineKernels(EngineSource(Sources.of_folder(release), find_layout("vllm")))
    shape = LinearShape(inputs=4096, outputs=(outputs,), full_inputs=4096, full_outputs=(outputs,))
    return choose(SYMMETRIC, shape, "bfloat16", machine(capability), kernels)


def native(choice: KernelChoice, name: str) -> Verdict:
    return next(each for each in choice.verdicts if each.candidate == name and each.tier is Tier.NATIVE)


def test_hopper_takes_machete(release: Path) -> None:
    choice = chosen(release, "9.0")
    assert choice.winner is not None and choice.winner.candidate == "MacheteLinearKernel"


def test_ampere_takes_marlin_as_machete_needs_hopper(release: Path) -> None:
    choice = chosen(release, "8.0")
    assert choice.winner is not None and choice.winner.candidate == "MarlinLinearKernel"
    (reason,) = native(choice, "MacheteLinearKernel").reasons
    assert reason == "needs compute capability 9.0, this machine has 8.0"


def test_machete_refuses_outputs_that_128_does_not_divide(release: Path) -> None:
    verdict = native(chosen(release, "9.0", outputs=576), "MacheteLinearKernel")
    assert verdict.accepted is False and "128" in " ".join(verdict.reasons)


def test_on_a_cpu_marlin_is_not_taken(release: Path) -> None:
    winner = chosen(release, None).winner
    assert winner is not None and "Marlin" not in winner.candidate
