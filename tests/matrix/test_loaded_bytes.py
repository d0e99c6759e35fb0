"""What the engine holds before its own repacking is, byte for byte, what the checkpoints hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixprec_runtime.demo.checkpoints import DemoCheckpoints
from mixprec_runtime.demo.mixture import mix_text
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.runfolder import write_run_folder

pytestmark = pytest.mark.engine


def test_parameters_are_the_checkpoints_bytes(demo: DemoCheckpoints, tmp_path: Path) -> None:
    file = tmp_path / "bytes.yaml"
    file.write_text(mix_text(demo, port=8000), encoding="utf-8")
    folder = write_run_folder(make_plan(read_mix(file)), root=tmp_path / "runs")
    answer = tmp_path / "answer.json"
    script = Path(__file__).with_name("check_bytes.py")
    environment = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(answer)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(answer.read_text(encoding="utf-8"))
    assert found["differ"] == []
    # The engine keeps GPTQ's and AWQ's float16 scales in the type of the activations, bfloat16 here, and
    # compressed-tensors' bfloat16 scales in float32; everything else has the checkpoint's type and bytes.
    assert {name.rpartition(".")[2] for name in found["rounded"]} <= {"scales"}
    assert {name.rpartition(".")[2] for name in found["exact"]} <= {"scales", "weight_scale"}
    assert len(found["same"]) > 200
    account = json.loads((folder / "account.rank0.json").read_text(encoding="utf-8"))
    assert account["parameters"] == sum(len(names) for names in found.values())
    assert account["faults"] == []
