"""A mixture that the engine cannot serve alone, launched all the same: portable kernels take the layers over.

Two checkpoints are made from the demo's base model: FP8 per tensor with static activations, which the engine accepts
and, without AMX, fails to run; and blocks of INT8, a method that vLLM does not know at all.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mixprec_runtime.cache import cache_folder
from mixprec_runtime.demo.checkpoints import DemoCheckpoints
from mixprec_runtime.loading.state import read_accounts
from mixprec_runtime.records.account import LoadAccount
from tests.matrix.launches import Launched, start

pytestmark = pytest.mark.engine

torch = pytest.importorskip("torch", reason="checkpoints are made with torch")
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed in this interpreter", allow_module_level=True)

LAYERS = "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj mlp.gate_proj mlp.up_proj mlp.down_proj"
TEXT = (
    "Water is made of two elements, hydrogen and oxygen. The old lighthouse keeper climbed the stairs every evening, lit "
    "the lamp, and wrote down the names of the ships that passed before midnight. A language model assigns a probability "
    "to every next word of a text, and a good one is rarely surprised. The capital of France is Paris."
)
TOLERANCE = 0.15
"""Mean |log-probability - float32 reference| per token. BF16 arithmetic alone costs 0.09 nats on this kind of text."""


def fp8(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    scale = weight.abs().max().to(torch.float32) / 448
    codes = (weight.to(torch.float32) / scale).to(torch.float8_e4m3fn)
    return {"weight": codes, "weight_scale": scale, "input_scale": torch.tensor(0.5)}


def int8_blocks(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    out, inputs = (-(-extent // 64) * 64 for extent in weight.shape)
    padded = torch.zeros(out, inputs)
    padded[: weight.shape[0], : weight.shape[1]] = weight.to(torch.float32)
    blocks = padded.reshape(out // 64, 64, inputs // 64, 64)
    scales = blocks.abs().amax(dim=(1, 3)).clamp(min=1e-8) / 127
    codes = torch.round(blocks / scales[:, None, :, None]).to(torch.int8).reshape(out, inputs)
    return {"weight": codes[: weight.shape[0], : weight.shape[1]].contiguous(), "weight_scale_inv": scales}


FP8 = (fp8, {"quant_method": "fp8", "activation_scheme": "static", "ignored_layers": ["lm_head"]})
INT8 = (
    int8_blocks, {"quant_method": "blockwise_int8", "activation_scheme": "dynamic", "weight_block_size": [64, 64]},
)  # fmt: skip


def make(base: Path, folder: Path, how: tuple[object, dict[str, object]]) -> Path:
    """The base model with every linear layer of the decoder in another format."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(base, folder, ignore=lambda *_: ["model.safetensors"])
    pack, quantization = how
    tensors = {}
    for name, tensor in load_file(base / "model.safetensors").items():
        module = name.removesuffix(".weight")
        if any(module.endswith(layer) for layer in LAYERS.split()):
            tensors |= {f"{module}.{suffix}": packed for suffix, packed in pack(tensor).items()}  # type: ignore[operator]
        else:
            tensors[name] = tensor
    save_file(tensors, str(folder / "model.safetensors"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": quantization}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def mix(demo: DemoCheckpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("portable")
    file = root / "portable.yaml"
    file.write_text(
        f"model: {demo.base}\n"
        f"sources:\n"
        f"  fp8: {{path: {make(demo.base, root / 'fp8', FP8)}}}\n"
        f"  int8: {{path: {make(demo.base, root / 'int8', INT8)}}}\n"
        "default: fp8\n"
        "rules:\n"
        "  - {targets: ['re:.*\\.mlp\\.(gate|up|down)_proj$'], source: int8}\n"
        "ignore: [lm_head]\n"
        "serve: {port: 8000, max_model_len: 512, dtype: bfloat16, enforce_eager: true}\n",
        encoding="utf-8",
    )
    return file


@pytest.fixture(scope="module")
def setup(mix: Path) -> Path:
    """What ``mixprec doctor --verify --mix --setup`` writes; the report lies beside it."""
    file = mix.parent / "setup.json"
    words = ["doctor", "--verify", "--offline", "--mix", str(mix), "--setup", str(file), "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "mixprec_runtime", *words, "-o", str(mix.parent / "report.json")],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert file.is_file(), done.stderr
    return file


@pytest.fixture(scope="module")
def served(mix: Path, setup: Path) -> Iterator[Launched]:
    launched = start(mix, mix.parent, options=("--setup", str(setup)))
    try:
        launched.wait_until_healthy()
        yield launched
    finally:
        if launched.process.poll() is None:
            launched.stop(signal.SIGTERM)


def account(mix: Path) -> LoadAccount:
    folders = (cache_folder() / "launches").glob(f"{mix.stem}-*/account.rank0.json")
    return read_accounts(max(folders, key=lambda file: file.stat().st_mtime).parent)[0]


def wide(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """What packed weights mean, by the definition of the two formats above."""
    codes = tensors["weight"].to(torch.float32)
    if "weight_scale" in tensors:
        return codes * tensors["weight_scale"]
    scales = tensors["weight_scale_inv"].repeat_interleave(64, 0).repeat_interleave(64, 1)
    return codes * scales[: codes.shape[0], : codes.shape[1]]


def test_the_doctor_says_which_layers_why_and_what_it_costs(setup: Path) -> None:
    report = json.loads((setup.parent / "report.json").read_text(encoding="utf-8"))
    assert {each["format"] for each in report["kernels"]} == {"fp8-tensor", "int8-block"}
    for each in report["kernels"]:
        proofs = [verdict["proof"] for verdict in each["verdicts"] if verdict["proof"]]
        (working,) = [proof for proof in proofs if proof["fault"] is None]
        assert working["weights"] == "checkpoint"
        assert working["error"] <= working["bound"]
        assert {timing["rows"] for timing in working["timings"]} >= {1}
        if each["tier"] == "portable":
            summary = [f for f in report["findings"] if f["code"] == "MP510" and each["format"] in f["summary"]]
            assert summary and any("times as long as 16 bits" in line for line in summary[0]["evidence"])
    assert any(each["tier"] == "portable" for each in report["kernels"])


def test_the_launch_goes_by_the_setup_and_proves_nothing_again(served: Launched, setup: Path) -> None:
    served.wait_for_text("serving at")
    text = " ".join(served.text().split())
    assert f"setup {setup}" in text and ": holds (looked at in" in text
    assert "kinds of layer proved in" not in text
    assert "in place of" in text


def test_it_answers_rightly(served: Launched) -> None:
    answer: Any = served.complete("The capital of France is", 16)
    assert "Paris" in answer["choices"][0]["text"]


def test_it_foresees_a_text_as_the_same_weights_do_in_float32(served: Launched, demo: DemoCheckpoints) -> None:
    from mixprec_runtime.reference.weights import float32_model, float32_weights

    state = float32_weights(demo.base)
    for name, tensor in state.items():
        if any(name.endswith(f"{layer}.weight") for layer in LAYERS.split()):
            state[name] = wide((int8_blocks if ".mlp." in name else fp8)(tensor.to(torch.bfloat16)))
    answer: Any = served.complete(TEXT, 1, prompt_logprobs=0, return_token_ids=True)
    ids = answer["choices"][0]["prompt_token_ids"]
    entries = answer["choices"][0]["prompt_logprobs"][1:]
    found = torch.tensor([entry[str(token)]["logprob"] for entry, token in zip(entries, ids[1:], strict=True)])
    with torch.no_grad():
        logits = float32_model(demo.base, state)(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    right = logits.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    assert float((found - right).abs().mean()) < TOLERANCE


def test_every_parameter_is_filled_and_the_weights_stay_compressed(served: Launched, mix: Path) -> None:
    found = account(mix)
    assert found.faults == ()
    portable = [each for each in found.layers if "portable" in each.method]
    formats = {each.format for each in portable}
    assert "int8-block" in formats
    if not (torch.cuda.is_available() or torch.cpu._is_amx_tile_supported()):
        assert formats == {"int8-block", "fp8-tensor"}
        assert len(portable) == 4 * 30
    assert all(each.held_bytes < 1.1 * each.loaded_bytes for each in portable)


def test_the_account_says_what_was_passed_over_and_why(served: Launched, mix: Path) -> None:
    faults = {each.method: each.fault for each in account(mix).refused}
    assert any("blockwise_int8" in fault for fault in faults.values())
    if not (torch.cuda.is_available() or torch.cpu._is_amx_tile_supported()):
        assert any("static_scaled_fp8_quant" in fault for fault in faults.values())
