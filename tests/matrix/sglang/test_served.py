"""A mixture served by the real SGLang: through ``mixprec launch``, and by the engine's own command.

On a machine without a GPU the engine's own Python does what its kernels would, and portable kernels the rest.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mixprec_runtime.loading.state import read_accounts
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from tests.matrix import launches
from tests.matrix.agreement import account, mixture_in_float32, reference_log_probabilities
from tests.matrix.generated_mixture import write_mixture

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

ON_CPU = (
    "--device", "cpu", "--attention-backend", "torch_native", "--sampling-backend", "pytorch", "--grammar-backend",
    "none", "--disable-radix-cache", "--max-total-tokens", "2048",
)  # fmt: skip
ON_GPU = ("--attention-backend", "triton", "--sampling-backend", "pytorch", "--grammar-backend", "none")
TOLERANCE = 0.12
"""Mean |log-probability - float32 reference| per token; BF16 arithmetic alone costs 0.09 in a generated model."""


def arguments() -> tuple[str, ...]:
    return ON_GPU if torch.cuda.is_available() else ON_CPU


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Without a GPU, the plugin that lets the engine make rotary embeddings; see ``rotary``."""
    folder = tmp_path_factory.mktemp("plugin")
    metadata = folder / "mixprec_rotary-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mixprec_rotary\nVersion: 0\n", encoding="utf-8")
    entry = "[sglang.srt.plugins]\nrotary = tests.matrix.sglang.rotary:register\n"
    (metadata / "entry_points.txt").write_text(entry, encoding="utf-8")
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join([str(folder), root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, "SGLANG_PLUGINS": "rotary", "MIXPREC_CACHE": str(folder / "cache")}


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture")
    return write_mixture(folder, name=folder.name)


@pytest.fixture(scope="module")
def launched(
    mix: Path, variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[launches.Launched]:
    found = launches.start(
        mix, tmp_path_factory.mktemp("launch"), quiet=False, options=("--engine", "sglang"), engine=arguments(),
        variables=variables,
    )  # fmt: skip
    try:
        found.wait_until_healthy()
        yield found
    finally:
        found.stop()
        assert found.descendants() == []


def test_its_server_answers_in_the_openai_form(launched: launches.Launched) -> None:
    answer: Any = launched.complete("w5 w6 w7 w8", 8)
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["choices"][0]["text"].strip()


def test_it_foresees_a_text_as_the_same_weights_do_in_float32(
    launched: launches.Launched, mix: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", variables["MIXPREC_CACHE"])
    ids = torch.randint(3, 384, (64,), generator=torch.Generator().manual_seed(3)).tolist()
    answer: Any = launched.ask("/generate", {
        "input_ids": ids, "sampling_params": {"max_new_tokens": 1, "temperature": 0}, "return_logprob": True,
        "logprob_start_len": 0,
    })  # fmt: skip
    served = torch.tensor([found[0] for found in answer["meta_info"]["input_token_logprobs"][1:]])
    wanted = reference_log_probabilities(mixture_in_float32(mix), ids)
    assert len(served) == len(wanted) == 63
    assert float((served - wanted).abs().mean()) < TOLERANCE


def test_the_account_tells_each_planned_byte_and_every_parameter_once(
    launched: launches.Launched, mix: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXPREC_CACHE", variables["MIXPREC_CACHE"])
    found, plan = account(mix), make_plan(read_mix(mix))
    planned = sum(tensor.nbytes for layer in plan.layers for tensor in layer.tensors)
    assert found.faults == ()
    assert sum(read.bytes for read in found.sources.values()) == planned
    assert {layer.source for layer in found.layers} >= {"gptq", "awq", "int8", "fp8", "model"}


def test_the_kernels_were_proved_before_the_start(launched: launches.Launched) -> None:
    told = launched.text()
    assert re.search(r"(\d+) of \1 kinds of layer proved", told), told


def test_the_engine_s_own_command_serves_a_run_folder_without_a_flag_of_mixprec(
    launched: launches.Launched, variables: dict[str, str], tmp_path: Path
) -> None:
    """The processes that load weights find mixprec by its entry point alone."""
    folder = max((Path(variables["MIXPREC_CACHE"]) / "runs").iterdir(), key=lambda each: each.stat().st_mtime)
    launched.stop()
    served = launches.run_words(
        ["-m", "sglang.launch_server", "--model-path", str(folder), "--host", "127.0.0.1", *arguments()],
        tmp_path,
        variables={**variables, "SGLANG_PLUGINS": "rotary,mixprec", "MIXPREC_STATE_DIR": str(tmp_path)},
        model="default",
    )
    try:
        served.wait_until_healthy()
        answer: Any = served.complete("w5 w6 w7 w8", 4)
        assert answer["usage"]["completion_tokens"] == 4
        assert read_accounts(tmp_path)[0].faults == ()
        assert json.loads(served.get("/get_server_info"))["load_format"] == "auto"
    finally:
        served.stop()
