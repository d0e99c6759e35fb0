"""The proof of the layouts: unmodified vLLM and a float32 reading of the same checkpoint foresee a text equally well.

The text is the repository's LICENSE (2,224 tokens of SmolLM2's vocabulary, not part of the calibration text), in
windows of 512 tokens side by side. Compared are mean nats per token (natural logarithm; perplexity is its exponential).
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mixprec_runtime.demo.checkpoints import DemoCheckpoints

pytestmark = pytest.mark.engine

torch = pytest.importorskip("torch", reason="the float32 reference needs torch")
transformers = pytest.importorskip("transformers", reason="the float32 reference needs transformers")
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed in this interpreter", allow_module_level=True)

from mixprec_runtime.reference.activations import round_activations  # noqa: E402
from mixprec_runtime.reference.perplexity import Perplexity, Window, measure, windows  # noqa: E402
from mixprec_runtime.reference.weights import float32_model, float32_weights  # noqa: E402

TEXT = Path(__file__).parents[2] / "LICENSE"
LAYOUTS = {"int8": "int-quantized", "fp8": "float-quantized"}
TOLERANCE = {"base": 0.01, "gptq": 0.01, "awq": 0.01, "int8": 0.03, "fp8": 0.03}
"""Nats per token.

Weights are the same numbers on both sides (scales are exact in bfloat16), so BF16, GPTQ and AWQ differ by the engine's
bfloat16 activations alone: 0.003 measured for BF16. INT8 and FP8 also round activations to 8 bits; the reference rounds
them too, but a rounding that falls the other way after bfloat16 arithmetic is carried through thirty layers: 0.011
measured for FP8. A wrong zero point, order or group costs several nats; rounding 4-bit weights anew costs 0.2.
"""


def cpu_flags() -> set[str]:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    return next((set(line.split()) for line in text.splitlines() if line.startswith("flags")), set())


def cannot_serve(name: str) -> str | None:
    """Why vLLM's CPU build cannot serve a format truly on this machine; None when it can."""
    if platform.machine() != "x86_64" or torch.cuda.is_available():
        return None
    if name in {"gptq", "awq"} and "avx512f" not in cpu_flags():
        return "this CPU has no AVX-512, and vLLM's AVX2 library has no operator cpu_gemm_wna16 for 4-bit weights"
    if name == "int8" and not cpu_flags() & {"avx512_vnni", "avx_vnni"}:
        return "this CPU has no VNNI, and INT8 products in vLLM's AVX2 library are off (0.1 nats measured)"
    return None


@pytest.fixture(scope="module")
def cut(demo: DemoCheckpoints) -> tuple[Window, ...]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(demo.base)
    tokens = tokenizer(TEXT.read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
    assert len(tokens) >= 2000
    return windows(tokens, length=512)


def engine_perplexity(checkpoint: Path, cut: tuple[Window, ...], folder: Path) -> Perplexity:
    asked, answer = folder / "windows.json", folder / "answer.json"
    asked.write_text(json.dumps([[window.first, window.tokens] for window in cut]))
    script = Path(__file__).with_name("engine_perplexity.py")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_PLUGINS": ""}
    # Two cores: leave none of them idle, and no thread spinning for the other.
    environment |= {"VLLM_NO_USAGE_STATS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with (folder / "log").open("w") as log:
        command = [sys.executable, str(script), str(checkpoint), str(asked), str(answer)]
        done = subprocess.run(command, env=environment, stdout=log, stderr=log, timeout=900, check=False)
    assert done.returncode == 0, (folder / "log").read_text()[-6000:]
    return Perplexity(**json.loads(answer.read_text()))


@pytest.mark.parametrize("name", list(TOLERANCE))
def test_engine_and_float32_agree(
    name: str,
    demo: DemoCheckpoints,
    cut: tuple[Window, ...],
    tmp_path: Path,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    if reason := cannot_serve(name):
        pytest.skip(reason)
    folder: Path = getattr(demo, name)
    model = float32_model(folder, float32_weights(folder))
    round_activations(model, LAYOUTS.get(name, "plain"))
    reference = measure(model, cut)
    engine = engine_perplexity(folder, cut, tmp_path)
    record_testsuite_property(f"perplexity-{name}", f"float32 {reference.value:.3f}, engine {engine.value:.3f}")
    assert engine.tokens == reference.tokens >= 2000
    assert abs(engine.nats_per_token - reference.nats_per_token) <= TOLERANCE[name], (engine.value, reference.value)
