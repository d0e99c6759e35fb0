"""A tensor that is missing, doubled or unknown stops the start, with a list; so does a checkpoint that has changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mixprec_runtime.demo.checkpoints import DemoCheckpoints
from mixprec_runtime.launching.errors import EngineFailed
from mixprec_runtime.launching.launch import Launch, Observer, prepare, serve
from mixprec_runtime.launching.server import free_port
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.runfolder import RUN_FILE

pytestmark = pytest.mark.engine

MIX = """\
model: {base}
sources: {{gptq: {{path: {gptq}}}}}
rules: [{{targets: ['re:model\\.layers\\.3\\.mlp\\.down_proj$'], source: gptq}}]
serve: {{port: {port}, dtype: bfloat16, max_model_len: 128, enforce_eager: true}}
"""
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
NORM = "model.layers.5.input_layernorm.weight"
SCALES = "model.layers.3.mlp.down_proj.scales"
QUERY = "model.layers.7.self_attn.q_proj.weight"


@pytest.fixture
def launch(demo: DemoCheckpoints, tmp_path: Path) -> Launch:
    file = tmp_path / "refused.yaml"
    file.write_text(MIX.format(base=demo.base, gptq=demo.gptq, port=free_port()), encoding="utf-8")
    wish = read_mix(file)
    plan = make_plan(wish)
    assert plan.valid
    return prepare(wish, plan, root=tmp_path / "cache", arguments=())


class Tampering(Observer):
    """Changes the run folder behind the planner's back, which itself refuses all of this, once the launch wrote it."""

    def __init__(self, launch: Launch, change: Any) -> None:
        self.file = launch.run_folder / RUN_FILE
        self.change = change

    def phase(self, text: str) -> None:
        if text == "starting the engine":
            run = json.loads(self.file.read_text(encoding="utf-8"))
            self.change(run)
            self.file.write_text(json.dumps(run), encoding="utf-8")


def refusal(launch: Launch, change: Any) -> str:
    with pytest.raises(EngineFailed) as failed:
        serve(launch, Tampering(launch, change), environment=ENVIRONMENT, while_ready=lambda command: None)
    assert failed.value.code != 0
    return str(failed.value)


def test_missing_and_doubled_tensors_are_listed(launch: Launch) -> None:
    def change(run: dict[str, Any]) -> None:
        kept = [tensor for tensor in run["tensors"] if tensor["name"] not in (NORM, SCALES)]
        run["tensors"] = [*kept, next(tensor for tensor in kept if tensor["name"] == QUERY)]

    words = refusal(launch, change)
    assert f"parameter {NORM} was never filled" in words
    assert f"parameter {SCALES} was never filled" in words
    assert "parameter model.layers.7.self_attn.qkv_proj.weight has" in words
    assert "filled more than once" in words


def test_an_unknown_tensor_is_named(launch: Launch, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    file = tmp_path / "stray.safetensors"
    save_file({"model.layers.2.mlp.extra.weight": torch.zeros(2)}, str(file))
    status = file.stat()

    def change(run: dict[str, Any]) -> None:
        stray = {"name": "model.layers.2.mlp.extra.weight", "file": str(file), "shape": [2], "bytes": 8}
        run["tensors"].append({**run["tensors"][0], **stray})
        run["files"][str(file)] = {"size": status.st_size, "modified_ns": status.st_mtime_ns}

    assert "model.layers.2.mlp.extra.weight" in refusal(launch, change)


def test_a_checkpoint_that_changed_after_planning_is_refused(launch: Launch) -> None:
    def change(run: dict[str, Any]) -> None:
        run["files"][name]["modified_ns"] -= 1

    name = str(launch.plan.sources["gptq"].path / "model.safetensors")
    words = refusal(launch, change)
    assert f"{name}: has changed since the plan was made" in words
