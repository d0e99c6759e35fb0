"""The doors: a run folder alone, ``LLM`` in one's own Python, and other models where mixprec is merely installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import mixprec_runtime.vllm
from mixprec_doctor.environment import Target, read_environment
from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.source.sources import Sources
from mixprec_runtime.launching.arguments import TakenArgument
from mixprec_runtime.launching.server import free_port, healthy
from mixprec_runtime.loading.state import read_accounts
from mixprec_runtime.packing.generated_model import write_generated_model
from tests.releases.adapter import VLLM, broken_in

pytestmark = pytest.mark.engine
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed in this interpreter", allow_module_level=True)

MODEL: dict[str, object] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 256, "intermediate_size": 512,
    "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2, "vocab_size": 512,
    "max_position_embeddings": 512, "tie_word_embeddings": False, "rms_norm_eps": 1e-5, "hidden_act": "silu",
}  # fmt: skip
MIX = """\
model: ./base
sources: {gptq: {path: ./gptq}, fp8: {path: ./fp8}}
default: gptq
rules: [{targets: ['re:.*self_attn.*'], source: fp8}]
ignore: [lm_head]
serve: {port: 8123, max_model_len: 64, dtype: bfloat16, enforce_eager: true}
"""
GENERATE = """\
import json, sys
if __name__ == "__main__":
    import mixprec_runtime.vllm
    given = json.loads(sys.argv[1])
    arguments = mixprec_runtime.vllm.prepare(given.pop("mix"), **given) if "mix" in given else given
    assert "vllm" not in sys.modules, "preparing imports no engine"
    from vllm import LLM, SamplingParams
    llm = LLM(**arguments)
    prompts = [{"prompt_token_ids": ids} for ids in ([5, 6, 7, 8], [100, 200, 300])]
    made = llm.generate(prompts, SamplingParams(max_tokens=8, temperature=0, ignore_eos=True))
    print("ANSWER", json.dumps([list(each.outputs[0].token_ids) for each in made]))
"""
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("doors")
    gptq = Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True)
    fp8 = Format(kind=FormatKind.FP8, bits=8, scale="channel", dtype="F8_E4M3", activation=Activation.DYNAMIC)
    for name, form in {"base": None, "gptq": gptq, "fp8": fp8}.items():
        write_generated_model(MODEL, root / name, format=form)
    (root / "doors.yaml").write_text(MIX, encoding="utf-8")
    return root / "doors.yaml"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(words: list[str], **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=400, check=False,
        env={**os.environ, **ENVIRONMENT, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout


def generated(tmp_path: Path, arguments: dict[str, object], **environment: str) -> list[list[int]]:
    script = tmp_path / "generate.py"
    script.write_text(GENERATE, encoding="utf-8")
    lines = run([str(script), json.dumps(arguments)], **environment).splitlines()
    found: list[list[int]] = json.loads(next(line for line in lines if line.startswith("ANSWER"))[len("ANSWER") :])
    return found


def test_llm_serves_what_prepare_gives(mix: Path, tmp_path: Path) -> None:
    """Also: a worker, to which the mixture's config comes from another process, has the loader that it needs."""
    prepared = mixprec_runtime.vllm.prepare(mix, verify=False, seed=7)
    folder = Path(prepared.pop("model"))
    assert prepared == {"max_model_len": 64, "dtype": "bfloat16", "enforce_eager": True, "seed": 7}
    answers = generated(tmp_path, {"mix": str(mix), "verify": False, "seed": 7})
    assert [len(each) for each in answers] == [8, 8]
    (account,) = read_accounts(folder)
    assert set(account.sources) == {"model", "gptq", "fp8"}
    assert not account.faults


def test_prepare_refuses_what_would_load_something_else(mix: Path) -> None:
    for name, value in {"load_format": "dummy", "quantization": "fp8", "model": "other"}.items():
        with pytest.raises(TakenArgument, match=name):
            mixprec_runtime.vllm.prepare(mix, verify=False, **{name: value})


def test_the_engine_s_tables_change_for_a_mixture_only(mix: Path) -> None:
    folder = mixprec_runtime.vllm.prepare(mix, verify=False)["model"]
    script = str(Path(__file__).with_name("door_answers.py"))
    lines = run([script, folder, str(mix.parent / "gptq")]).splitlines()
    answers: dict[str, Any] = json.loads(lines[-1])
    untouched = {"auto": "DefaultModelLoader", "dummy": "DummyModelLoader", "mixprec": "refused"}
    untouched |= {"imported": ["entrance", "plugin"]}
    assert answers["installed"] == untouched
    assert {key: answers["ordinary"][key] for key in untouched} == untouched
    assert "gptq" in answers["ordinary"]["quantization"]
    mixture = answers["mixture"]
    assert (mixture["quantization"], mixture["config"]) == ("mixprec", "MixprecConfig")
    assert (mixture["auto"], mixture["mixprec"]) == ("MixprecAutoLoader", "MixprecAutoLoader")
    assert mixture["dummy"] == "DummyModelLoader"
    assert answers["handed"] == {
        "mixture": "MixprecModelLoader", "ordinary": "super", "base": "DefaultModelLoader", "draft": "auto",
    }  # fmt: skip


def test_reading_the_adapter_finds_nothing_broken_in_the_release_that_is_here() -> None:
    sources = Sources.of_environment(read_environment(Target()))
    assert [str(each) for each in broken_in(sources, VLLM)] == []


@pytest.mark.heavy
def test_another_model_is_the_same_with_and_without_mixprec(mix: Path, tmp_path: Path) -> None:
    arguments: dict[str, object] = {
        "model": str(mix.parent / "base"), "max_model_len": 64, "dtype": "bfloat16", "enforce_eager": True,
    }  # fmt: skip
    without = generated(tmp_path, arguments, VLLM_PLUGINS="")
    assert generated(tmp_path, arguments) == without


@pytest.mark.heavy
@pytest.mark.parametrize(
    "flags", [[], ["--load-format", "mixprec", "--quantization", "mixprec"]], ids=["bare", "named"]
)
def test_the_engine_s_server_serves_a_run_folder_by_itself(mix: Path, tmp_path: Path, flags: list[str]) -> None:
    folder = mixprec_runtime.vllm.prepare(mix, verify=False)["model"]
    port = free_port()
    words = ["--port", str(port), "--max-model-len", "64", "--dtype", "bfloat16", "--enforce-eager", *flags]
    log = tmp_path / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", folder, *words],
            stdout=stream, stderr=subprocess.STDOUT, env={**os.environ, **ENVIRONMENT},
        )  # fmt: skip
        try:
            wait_until_healthy(server, f"http://127.0.0.1:{port}", log)
        finally:
            server.terminate()
            server.wait(60)
    (account,) = read_accounts(Path(folder))
    assert set(account.sources) == {"model", "gptq", "fp8"}


def wait_until_healthy(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + 300
    while not healthy(url):
        assert server.poll() is None and time.monotonic() < until, log.read_text(encoding="utf-8")[-6000:]
        time.sleep(0.5)
