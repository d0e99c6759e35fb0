"""Mixtures of experts, served by the real engine: experts in one format, the rest in another, against float32.

The models are generated; transformers' own implementation is the reference.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

torch = pytest.importorskip("torch", reason="checkpoints are made with torch")
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed in this interpreter", allow_module_level=True)

from mixprec_runtime.launching.errors import EngineFailed  # noqa: E402
from mixprec_runtime.launching.launch import Launch, Observer, prepare, serve  # noqa: E402
from mixprec_runtime.launching.server import free_port  # noqa: E402
from mixprec_runtime.mixfile.read import read_mix  # noqa: E402
from mixprec_runtime.planning.planner import make_plan  # noqa: E402
from mixprec_runtime.runfolder import RUN_FILE, write_run_folder  # noqa: E402
from tests.gpu.expert_models import write_checkpoints, write_mix  # noqa: E402

ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
ROUNDED = 2.5
"""Difference from float32 in times of what BF16 arithmetic alone costs; 0.5 to 1.8 were measured."""
CASES = [
    ("mixtral", "fp8", "gptq"), ("qwen3_moe", "int8", "w4a16"), ("qwen2_moe", "bf16", "awq"),
    ("mixtral", "gptq", "fp8_static"), ("qwen3_moe", "bf16", "fp8_block"), ("mixtral", "bf16", "int8"), ("paligemma", "bf16", "gptq"),
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("experts")


def served(root: Path, model: str, rest: str, experts: str) -> dict[str, Any]:
    """What ``tests.gpu.moe`` finds of one mixture, in a process of its own."""
    words = ["-m", "tests.gpu.moe", "--one", "--root", str(root), "--model", model, "--mixture", f"{rest}+{experts}"]
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=400, check=False,
        env={**os.environ, **ENVIRONMENT},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


@pytest.mark.parametrize(("model", "rest", "experts"), CASES)
def test_experts_and_the_rest_come_from_their_own_checkpoints(root: Path, model: str, rest: str, experts: str) -> None:
    found = served(root, model, rest, experts)
    assert found["faults"] == []
    assert found["mean_difference"] < ROUNDED * found["bf16_alone"]
    assert bool(found["experts_served_by"]) is (model != "paligemma")


@pytest.fixture
def launch(root: Path, tmp_path: Path) -> Launch:
    folders = write_checkpoints(root / "refused", "mixtral", ["bf16", "gptq"])
    port = free_port()
    serve_with = {"port": port, "dtype": "bfloat16", "max_model_len": 128, "enforce_eager": True}
    file = write_mix(tmp_path / "refused.yaml", folders, rest="bf16", experts="gptq", **serve_with)
    wish = read_mix(file)
    plan = make_plan(wish)
    assert plan.valid
    prepared = prepare(wish, plan, root=tmp_path / "cache", arguments=())
    write_run_folder(plan, root=prepared.run_folder.parent)
    return prepared


def test_an_expert_that_lacks_a_tensor_and_one_that_gets_it_twice_are_named(launch: Launch) -> None:
    lacking = "model.layers.0.block_sparse_moe.experts.2.w2.scales"
    twice = "model.layers.1.block_sparse_moe.experts.1.w3.qweight"
    file = launch.run_folder / RUN_FILE
    run = json.loads(file.read_text(encoding="utf-8"))
    doubled = next(tensor for tensor in run["tensors"] if tensor["name"] == twice)
    run["tensors"] = [tensor for tensor in run["tensors"] if tensor["name"] != lacking] + [doubled]
    file.write_text(json.dumps(run), encoding="utf-8")
    with pytest.raises(EngineFailed) as failed:
        serve(launch, Observer(), environment=ENVIRONMENT)
    words = str(failed.value)
    assert (
        "layers.0.block_sparse_moe.experts" in words and "w2_scales has 512 of 2,048 elements that no tensor" in words
    )
    assert "w13_qweight has" in words and "filled more than once" in words
