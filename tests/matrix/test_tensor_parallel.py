"""Two ranks and two stages on the CPU engine: the same model, and each rank holds what the plan says.

A mixture of five formats with 8 heads on 2 key/value heads, and on 1, which both ranks then hold.
"""

from __future__ import annotations

import importlib.util
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mixprec_runtime.cache import cache_folder
from mixprec_runtime.loading.state import read_accounts
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.account import LoadAccount
from mixprec_runtime.records.plan import Plan
from tests.matrix.generated_mixture import write_mixture
from tests.matrix.launches import Launched, start

pytestmark = [pytest.mark.engine, pytest.mark.heavy]
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed in this interpreter", allow_module_level=True)

TEXT = " ".join(f"w{3 + at * 37 % 380}" for at in range(100))
PROMPTS = ("w3 w4 w5 w6", "w100 w200 w300", "w50", "w7 w7 w7", "w301", "w11 w222 w333 w144 w5", "w90 w80", "w17")
TOKENS = 16
CLEAR = 0.25  # log-probability by which a word leads
NEAR = 0.05
"""Mean |log-probability of one rank - of two| per token: sums are rounded to BF16 in another order, nothing else."""
TWO = {"VLLM_CPU_OMP_THREADS_BIND": "0|1"}


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one way of serving a mixture said, and what its ranks told of the load."""

    texts: tuple[str, ...]
    leads: tuple[tuple[float, ...], ...]  # of the words of each text: log-probability before the second best
    foreseen: tuple[float, ...]  # log-probability of each word of TEXT
    best: tuple[tuple[str, float], ...]  # the word that was likeliest there, and its lead
    accounts: tuple[LoadAccount, ...]


def asked(mix: Path, *engine: str, **variables: str) -> Answers:
    launched = start(mix, mix.parent, engine=engine, variables=variables)
    try:
        launched.wait_until_healthy()
        launched.wait_for_text("serving at")
        answers: list[Any] = [launched.complete(prompt, TOKENS, logprobs=2)["choices"] for prompt in PROMPTS]
        scored: Any = launched.complete(TEXT, 1, prompt_logprobs=2, return_token_ids=True)["choices"]
        words, entries = scored[0]["prompt_token_ids"][1:], scored[0]["prompt_logprobs"][1:]
        return Answers(
            texts=tuple(choice["text"] for (choice,) in answers),
            leads=tuple(tuple(map(_lead, choice["logprobs"]["top_logprobs"])) for (choice,) in answers),
            foreseen=tuple(entry[str(word)]["logprob"] for word, entry in zip(words, entries, strict=True)),
            best=tuple(_best({word: each["logprob"] for word, each in entry.items()}) for entry in entries),
            accounts=accounts(mix),
        )
    finally:
        assert launched.process.poll() is not None or launched.stop(signal.SIGINT) == 0, launched.text()
        assert launched.descendants() == []


def _lead(top: dict[str, float]) -> float:
    first, second = sorted(top.values(), reverse=True)[:2]
    return first - second


def _best(found: dict[str, float]) -> tuple[str, float]:
    return max(found, key=lambda word: found[word]), _lead(found)


def accounts(mix: Path) -> tuple[LoadAccount, ...]:
    files = (cache_folder() / "launches").glob(f"{mix.stem}-*/account.rank0.json")
    return read_accounts(max(files, key=lambda file: file.stat().st_mtime).parent)


@pytest.fixture(scope="module", params=[2, 1], ids=["two key/value heads", "one key/value head"])
def mix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    return write_mixture(folder, name=f"heads{request.param}", num_key_value_heads=request.param)


@pytest.fixture(scope="module")
def alone(mix: Path) -> Answers:
    return asked(mix)


@pytest.fixture(scope="module")
def together(mix: Path) -> Answers:
    return asked(mix, "-tp", "2", **TWO)


def test_two_ranks_foresee_a_text_as_one_does(alone: Answers, together: Answers) -> None:
    differences = [abs(one - two) for one, two in zip(alone.foreseen, together.foreseen, strict=True)]
    print(f"mean |log-probability of one rank - of two|: {sum(differences) / len(differences):.4f}")
    assert sum(differences) / len(differences) < NEAR


def test_two_ranks_choose_every_word_that_one_chooses_clearly(alone: Answers, together: Answers) -> None:
    """Random weights leave words that lead by nothing but rounding; where one leads clearly, both must choose it."""
    chosen = [(one, two) for (one, lead), (two, _) in zip(alone.best, together.best, strict=True) if lead > CLEAR]
    assert len(chosen) > 50 and all(one == two for one, two in chosen)
    compared = 0
    for one, two, leads in zip(alone.texts, together.texts, alone.leads, strict=True):
        clear = next((at for at, lead in enumerate(leads) if lead <= CLEAR), len(leads))
        assert one.split()[:clear] == two.split()[:clear]
        compared += clear
    assert compared > len(PROMPTS)


def test_every_rank_holds_what_the_plan_says(mix: Path, together: Answers) -> None:
    assert [(account.rank, account.world_size) for account in together.accounts] == [(0, 2), (1, 2)]
    _assert_as_planned(make_plan(read_mix(mix), tensor_parallel_size=2), together.accounts)


def test_one_rank_holds_what_the_plan_says(mix: Path, alone: Answers) -> None:
    _assert_as_planned(make_plan(read_mix(mix)), alone.accounts)


def _assert_as_planned(plan: Plan, found: tuple[LoadAccount, ...]) -> None:
    planned = {layer.layer: layer.bytes_per_rank for layer in plan.layers}
    for account in found:
        held = {layer.members: layer.loaded_bytes for layer in account.layers if layer.members}
        assert {name for members in held for name in members} == {
            name for name, each in planned.items() if each[account.rank]
        }
        for members, loaded in held.items():
            # beside the planned tensors vLLM keeps a scale per fused part, and a few numbers of its own
            assert 0 <= loaded - sum(planned[name][account.rank] for name in members) <= 64, members
        assert account.faults == ()


def test_kernels_are_proved_for_the_shapes_of_a_rank(mix: Path, together: Answers) -> None:
    folder = max((cache_folder() / "runs").glob(f"{mix.stem}-*"), key=lambda each: each.stat().st_mtime)
    handed = json.loads((folder / "config.json").read_text(encoding="utf-8"))["quantization_config"]["kernels"]
    shapes = {name.rpartition(".")[2]: (each["inputs"], each["outputs"]) for name, each in handed.items()}
    assert shapes["down_proj"] == (256, [256]) and shapes["gate_proj"] == (256, [256, 256])
    assert shapes["q_proj"] == (256, [128, 32, 32]) and shapes["o_proj"] == (128, [256])
    assert {account.rank for account in together.accounts if account.parameters} == {0, 1}


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Launched]]:
    mix = write_mixture(tmp_path_factory.mktemp("stages"), name="stages")
    launched = start(mix, mix.parent, engine=("--pipeline-parallel-size", "2"), variables=TWO)
    try:
        launched.wait_for_text("serving at")
        yield mix, launched
    finally:
        if launched.process.poll() is None:
            launched.stop(signal.SIGINT)


def test_stages_load_the_layers_that_the_plan_gives_them(staged: tuple[Path, Launched]) -> None:
    """Loading alone: vLLM's runner for CPUs does not pass on what a stage computes (0.32)."""
    mix, _ = staged
    found = accounts(mix)
    assert [(account.rank, account.world_size) for account in found] == [(0, 2), (1, 2)]
    _assert_as_planned(make_plan(read_mix(mix), pipeline_parallel_size=2), found)
