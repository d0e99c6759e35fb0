"""A mixture of five checkpoints, served by the real engine through ``mixprec launch``."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.cache import cache_folder
from mixprec_runtime.demo.checkpoints import DemoCheckpoints
from mixprec_runtime.demo.mixture import mix_text
from mixprec_runtime.launching.memory import read_memory
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from tests.matrix.agreement import account, log_probabilities, mixture_in_float32, reference_log_probabilities
from tests.matrix.launches import Launched, start

pytestmark = pytest.mark.engine

PROMPTS = ("The capital of France is", "Water is made of two elements, hydrogen and", "The opposite of hot is")
EXPECTED = ("Paris", "oxygen", "cold")
TOKENS = 24
TOLERANCE = 2.0
"""Mean |log-probability - float32 reference| per token, in times of what BF16 arithmetic alone costs on this text.

The reference computes the same weights in float32, and rounds the inputs of those 8-bit layers whose kernel in the engine
does. The yardstick is the same reference run by PyTorch in BF16: 0.093 nats (0.095 for the unquantized model) where the
engine had 0.123. What is left are 8-bit roundings that fall the other way after BF16 arithmetic. A wrong zero point,
group or scale moves the mean by whole nats; the unquantized model is 1.06 away, and that distance is asserted too.
"""


@pytest.fixture(scope="module")
def mix(demo: DemoCheckpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("mix") / "five.yaml"
    file.write_text(mix_text(demo, port=8000), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def served(mix: Path) -> Iterator[Launched]:
    launched = start(mix, mix.parent)
    try:
        launched.wait_until_healthy()
        yield launched
    finally:
        if launched.process.poll() is None:
            launched.stop(signal.SIGTERM)


@pytest.fixture(scope="module")
def reference(served: Launched, mix: Path) -> Any:
    """The mixture in float32: every layer dequantized from the checkpoint that the plan takes it from."""
    return mixture_in_float32(mix)


def greedy(launched: Launched) -> list[str]:
    answers = [launched.complete(prompt, TOKENS) for prompt in PROMPTS]
    return [answer["choices"][0]["text"] for answer in answers]  # type: ignore[index]


def test_log_probabilities_agree_with_the_float32_reference(
    served: Launched, reference: Any, demo: DemoCheckpoints
) -> None:
    import torch

    from mixprec_runtime.reference.weights import float32_model, float32_weights

    ids, engine = log_probabilities(served)
    assert len(ids) > 80
    measured = torch.tensor(engine)
    right = reference_log_probabilities(reference, ids)
    own = (measured - right).abs().mean().item()
    unquantized = float32_model(demo.base, float32_weights(demo.base))
    other = (measured - reference_log_probabilities(unquantized, ids)).abs().mean().item()
    yardstick = (reference_log_probabilities(reference.to(torch.bfloat16), ids) - right).abs().mean().item()
    print(f"mean |log-probability - reference|: {own:.4f}; BF16 alone {yardstick:.4f}; unquantized base {other:.4f}")
    assert own < TOLERANCE * yardstick
    assert own < other / 4, "the engine is no nearer to the mixture than to the unquantized model"


def test_the_account_says_that_every_parameter_was_filled_once(served: Launched, mix: Path) -> None:
    text = served.text()
    assert "each exactly once" in text
    assert f"serving at {served.url}/v1" in text
    for source in ("model", "gptq", "awq", "int8", "fp8"):
        assert f"{source} " in text


def test_the_memory_report_is_true_to_the_byte(served: Launched, mix: Path) -> None:
    """Layers are loaded in the checkpoint's own layout.

    The engine's 8-bit methods keep bfloat16 scales in float32, and some releases one g_idx for each layer.
    """
    served.wait_for_text("memory, layer by layer")
    folders = (cache_folder() / "launches").glob(f"{mix.stem}-*")
    report = read_memory(max(folders, key=lambda each: each.stat().st_mtime))
    planned = {layer.layer: layer for layer in make_plan(read_mix(mix)).layers}
    linear = [unit for unit in report.units if "_proj" in unit.unit]
    assert len(linear) == 4 * 30
    for unit in linear:
        modules = [planned[module] for module in unit.modules]
        scales = sum(2 * module.shape[0] for module in modules if module.format.bits == 8)
        order = 4 * modules[0].shape[1] if modules[0].format.kind is FormatKind.GPTQ else 0
        assert unit.loaded is not None and unit.loaded[0] - unit.planned[0] in {0, scales, order}, unit
    assert report.ranks[0].held == sum(layer.held_bytes for layer in account(mix).layers)


@pytest.fixture(scope="module")
def client(served: Launched) -> Iterator[Any]:
    openai = pytest.importorskip("openai", reason="the client of most users")
    httpx = pytest.importorskip("httpx")
    with httpx.Client(trust_env=False, timeout=120) as connection:  # a proxy of the environment is not for loopback
        yield openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0, http_client=connection)


def test_the_client_of_openai_finds_the_model_with_what_serve_asked_for(client: Any, mix: Path) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.max_model_len) == (mix.stem, 1024)


def test_streams_and_requests_at_once_give_the_texts_of_one_by_one(client: Any, mix: Path) -> None:
    def ask(prompt: str) -> str:
        done = client.completions.create(model=mix.stem, prompt=prompt, max_tokens=8, temperature=0)
        return str(done.choices[0].text)

    def stream(prompt: str) -> str:
        parts = client.completions.create(model=mix.stem, prompt=prompt, max_tokens=8, temperature=0, stream=True)
        texts = [part.choices[0].text for part in parts]
        assert sum(map(bool, texts)) > 3, f"came in {len(texts)} pieces"
        return "".join(texts)

    prompts = [*PROMPTS, "One, two, three,", "A, B, C, D,", "Monday, Tuesday,", "2 + 2 =", "The sun rises in the"]
    alone = [ask(prompt) for prompt in prompts]
    with ThreadPoolExecutor(len(prompts)) as together:
        assert list(together.map(stream, prompts)) == alone


def test_a_stop_string_ends_a_text_and_chat_is_answered(client: Any, mix: Path) -> None:
    (choice,) = client.completions.create(
        model=mix.stem, prompt="One, two, three,", max_tokens=24, temperature=0, stop=["six"]
    ).choices
    assert choice.finish_reason == "stop" and "five" in choice.text and "six" not in choice.text
    said = [{"role": "user", "content": "What is the capital of France?"}]
    answer = client.chat.completions.create(model=mix.stem, messages=said, max_tokens=24, temperature=0)
    assert "Paris" in answer.choices[0].message.content


def test_greedy_text_is_sensible_and_the_same_after_a_second_start(served: Launched, mix: Path) -> None:
    """Also: Ctrl-C and SIGTERM end the engine with its own code 0, and nothing keeps running."""
    first = greedy(served)
    for prompt, expected, text in zip(PROMPTS, EXPECTED, first, strict=True):
        assert expected in text, f"{prompt!r} was continued with {text!r}"
    assert len(served.descendants()) > 2  # the launcher, the server, and the engine's own processes
    assert served.stop(signal.SIGINT) == 0, served.text()
    assert served.descendants() == []

    second = start(mix, mix.parent, quiet=False)
    second.wait_until_healthy()
    assert greedy(second) == first
    assert second.stop(signal.SIGTERM) == 0, second.text()
    assert second.descendants() == []


def test_the_run_folder_holds_no_weights(served: Launched, mix: Path) -> None:
    from mixprec_runtime.runfolder import RUN_FILE, STAND_IN

    folders = (cache_folder() / "runs").glob(f"{mix.stem}-*")
    folder = max(folders, key=lambda each: each.stat().st_mtime)
    assert [file.name for file in folder.glob("*.safetensors")] == [STAND_IN]
    assert (folder / STAND_IN).stat().st_size < 100
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["quantization_config"]["quant_method"] == "mixprec"
    assert (folder / RUN_FILE).is_file()
