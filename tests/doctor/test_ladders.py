"""Ladders of imports, for which `mixprec_doctor.load` stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mixprec_doctor.codecheck.ladders import find_ladders
from mixprec_doctor.codecheck.reading import read_project
from mixprec_doctor.records.codefinding import CodeFinding

Find = Callable[[str], tuple[CodeFinding, ...]]
QUANT = "vllm.model_executor.layers.quantization"
RUNGS = (f"from {QUANT}.gptq import GPTQConfig", f"from {QUANT}.auto_gptq import AutoGPTQConfig as GPTQConfig")


@pytest.fixture
def ladders(tmp_path: Path) -> Find:
    def find(text: str) -> tuple[CodeFinding, ...]:
        file = tmp_path / "x.py"
        file.write_text(text)
        return find_ladders(read_project([file], {"vllm", "sglang"}))

    return find


LADDERS = {
    "handlers": f"try:\n    {RUNGS[0]}\nexcept ImportError:\n    {RUNGS[1]}\n",
    "nested": f"try:\n    {RUNGS[0]}\nexcept ImportError:\n    try:\n        {RUNGS[1]}\n    except ImportError:\n        GPTQConfig = None\n",
    "in a function": f"def f():\n  try:\n    {RUNGS[0]}\n  except ImportError:\n    {RUNGS[1]}\n",
    "another name": f"try:\n    {RUNGS[0]} as C\nexcept ImportError:\n    from {QUANT}.x import Y as C\n",
}  # fmt: skip


@pytest.mark.parametrize("name", LADDERS)
def test_a_ladder_over_a_role_is_noted_once_and_never_certain(name: str, ladders: Find) -> None:
    [found] = ladders(LADDERS[name])
    assert found.finding.code == "MP880"
    assert found.repair is not None
    assert found.repair.kind == "ladder" and not found.repair.certain
    bound = "C" if name == "another name" else "GPTQConfig"
    assert found.repair.new == f'import mixprec_doctor\n\n{bound} = mixprec_doctor.load("gptq.config", engine="vllm")'


def test_a_ladder_over_both_engines_leaves_the_engine_open(ladders: Find) -> None:
    other = "from sglang.srt.layers.quantization.gptq import GPTQConfig"
    [found] = ladders(f"try:\n    {RUNGS[0]}\nexcept ImportError:\n    {other}\n")
    assert found.repair and found.repair.new.endswith('load("gptq.config")')


NONE = {
    "one rung": f"try:\n    {RUNGS[0]}\nexcept ImportError:\n    GPTQConfig = None\n",
    "no role": "try:\n    from vllm.a import X\nexcept ImportError:\n    from vllm.b import X\n",
    "two names": f"try:\n    {RUNGS[0]}\nexcept ImportError:\n    from vllm.b import Other\n",
    "side by side": f"try:\n    {RUNGS[0]}\n    {RUNGS[1]}\nexcept ImportError:\n    pass\n",
    "two tries": f"try:\n    {RUNGS[0]}\nexcept ImportError:\n    pass\ntry:\n    {RUNGS[1]}\nexcept ImportError:\n    pass\n",
    "two roles": f"try:\n    from {QUANT}.fp8 import Fp8Config as C\nexcept ImportError:\n    {RUNGS[0]} as C\n",
}  # fmt: skip


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_such_ladder_is_passed_over(name: str, ladders: Find) -> None:
    assert ladders(NONE[name]) == ()
