"""Every way in which a load can be silent nonsense is refused, whatever the engine's own loaders make of it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.runfolder import write_run_folder

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed in this interpreter", allow_module_level=True)

CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 128, "intermediate_size": 256,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 512,
    "max_position_embeddings": 512, "tie_word_embeddings": False,
}  # fmt: skip
GPTQ = Format(kind=FormatKind.GPTQ, bits=4, group=32, symmetric=True)
MIX = """\
model: ./base
sources: {gptq: {path: ./gptq}}
default: gptq
ignore: [lm_head]
rules: [{targets: ['re:model\\.layers\\.0\\..*'], source: model}]
"""
DOWN = "parameter model.layers.0.mlp.down_proj.weight"
TENSOR = "model.layers.0.mlp.down_proj.weight (source model)"
EXPECTED = {
    "whole": [],
    "rows left out": [f"{DOWN} has 512 bytes that hold what they held before loading"],
    "added to": [f"{TENSOR} was not taken by any parameter", f"{DOWN} was changed in place and never filled"],
    "behind the back": [
        f"{TENSOR} was not taken by any parameter",
        f"{DOWN} was not filled by anything that mixprec can watch",
    ],
    "taken over": [
        f"{TENSOR} was not taken by any parameter",
        f"{DOWN} was replaced by another tensor while it was loaded",
    ],
    "a half": [f"{TENSOR} went in with 1,024 of 32,768 elements"],
    "swallowed": [f"{TENSOR} was not taken by any parameter", f"{DOWN} was never filled"],
    "twice": ["parameter model.norm.weight has 128 of 128 elements that were filled more than once"],
    "new": ["parameter extra came into the model while it was loaded, and nothing watched it"],
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    from mixprec_runtime.packing.generated_model import write_generated_model

    root = tmp_path_factory.mktemp("refused")
    write_generated_model(CONFIG, root / "base")
    write_generated_model(CONFIG, root / "gptq", format=GPTQ)
    (root / "mix.yaml").write_text(MIX, encoding="utf-8")
    folder = write_run_folder(make_plan(read_mix(root / "mix.yaml")), root=root / "runs")
    script = Path(__file__).with_name("refused_in_process.py")
    environment = {**os.environ, "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(root / "answer.json")],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, list[str]] = json.loads((root / "answer.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("defect", EXPECTED)
def test_a_load_is_refused_for_what_went_wrong_and_for_nothing_else(answers: dict[str, list[str]], defect: str) -> None:
    assert answers[defect] == EXPECTED[defect]
