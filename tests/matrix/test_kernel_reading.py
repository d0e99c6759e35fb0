"""What is read of vLLM's kernels against what they themselves say, for many formats, shapes and GPUs that are played.

Every kernel of every list is asked, on each platform. A question that reading leaves open counts for neither side, nor
does one that the engine cannot answer here, for want of a GPU's operators.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mixprec_doctor.environment import Target, read_environment
from mixprec_doctor.kernels.engine import EngineKernels, open_kernels
from mixprec_doctor.kernels.survey import Answer, ask
from mixprec_doctor.kernels.values import Class
from mixprec_doctor.machine import read_machine
from mixprec_doctor.records.machine import Accelerator, Machine

pytestmark = pytest.mark.engine

LISTS = "vllm.model_executor.kernels.linear"
QUANT = "vllm.model_executor.layers.quantization.utils.quant_utils"
CHILD = Path(__file__).with_name("kernel_answers.py")
SHAPES = (
    (576, 576),
    (576, 1536),
    (1536, 576),
    (576, 192),
    (4096, 4096),
    (4096, 14336),
    (2048, 1000),
    (1001, 64),
    (96, 40),
)
PLATFORMS = (None, (7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (12, 0))
WEIGHTS = ("uint4b8", "uint4", "uint8b128", "int4")
KEYS = (
    "kFp8StaticTensorSym", "kFp8DynamicTensorSym", "kFp8StaticTokenSym", "kFp8DynamicTokenSym",
    "kFp8Static128BlockSym", "kFp8Dynamic128Sym",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine_python() -> Path:
    """The interpreter with vLLM: the one named in ``MIXPREC_TEST_PYTHON``, else the one that runs this."""
    if named := os.environ.get("MIXPREC_TEST_PYTHON"):
        return Path(named)
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed in this interpreter, and MIXPREC_TEST_PYTHON names no other")
    return Path(sys.executable)


@pytest.fixture(scope="module")
def kernels(engine_python: Path) -> EngineKernels:
    found = open_kernels(read_environment(Target(python=engine_python)), "vllm")
    assert found is not None
    if found.source.exports.sources.module(LISTS) is None:
        pytest.skip("this release keeps its kernels elsewhere")
    return found


def machine_with(capability: tuple[int, int] | None) -> Machine:
    here = dataclasses.replace(read_machine(), accelerators=())
    if capability is None:
        return here
    major, minor = capability
    gpu = Accelerator(name="played", compute_capability=f"{major}.{minor}", memory_bytes=80 * 2**30, driver=None)
    return dataclasses.replace(here, accelerators=(gpu,))


def lists_of(kernels: EngineKernels) -> Iterator[tuple[str, str]]:
    """Each list with the classes in it."""
    parsed = kernels.source.exports.sources.module(LISTS)
    assert parsed is not None
    for binding in parsed.bindings:
        if binding.name.startswith("_POSSIBLE_") and isinstance(binding.value, ast.Dict):
            names = {each.id for each in ast.walk(binding.value) if isinstance(each, ast.Name)}
            yield from ((binding.name, name) for name in sorted(names - {"PlatformEnum"}))


def arguments_for(name: str) -> Iterator[str]:
    """Configs as the source of a call, for the kernels of a list."""
    if name == "_POSSIBLE_KERNELS":
        for (k, n), weight, group in itertools.product(SHAPES, WEIGHTS, (-1, 64, 128)):
            for act, zeros in (
                ("bfloat16", weight in ("uint4", "uint8")),
                ("float16", False),
                ("float8_e4m3fn", False),
            ):
                yield (
                    f"MPLinearLayerConfig(full_weight_shape=({2 * k}, {n}), partition_weight_shape=({k}, {n}), "
                    f"weight_type=scalar_types.{weight}, act_type=torch.{act}, group_size={group}, zero_points={zeros})"
                )
    elif "INT8" in name:
        for flags in itertools.product((True, False), repeat=3):
            words = zip(("is_static_input_scheme", "is_channelwise", "input_symmetric"), flags, strict=True)
            yield f"Int8ScaledMMLinearLayerConfig({', '.join(f'{word}={flag}' for word, flag in words)})"
    elif "FP8_K" in name or "FP8_BLOCK" in name or "WFP8A16" in name:
        for (k, n), weight, act, out in itertools.product(SHAPES[:3], KEYS, KEYS, ("bfloat16",)):
            yield (
                f"FP8ScaledMMLinearLayerConfig(weight_quant_key={weight}, activation_quant_key={act}, "
                f"weight_shape=({n}, {k}), input_dtype=torch.{out}, out_dtype=torch.{out})"
            )


def questions_about(kernels: EngineKernels) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, kernel in lists_of(kernels):
        about = {"module": LISTS, "kernel": kernel, "home": LISTS}
        if name == "_POSSIBLE_KERNELS":
            found.append({**about, "method": "get_min_capability", "argument": None})
        else:
            found.append({**about, "method": "is_supported", "argument": None})
        home = f"{LISTS}.mixed_precision.marlin" if name == "_POSSIBLE_KERNELS" else QUANT
        for argument in arguments_for(name):
            wide = f"__import__('importlib').import_module({LISTS!r})."
            text = argument if name == "_POSSIBLE_KERNELS" else wide + argument
            found.append({**about, "method": "can_implement", "argument": text, "home": home})
    return found


def read_answers(kernels: EngineKernels, machine: Machine, questions: list[dict[str, Any]]) -> list[object]:
    ev = kernels.evaluator(machine)
    answers: list[object] = []
    for question in questions:
        of = ev.once(partial(ev.names.look_up, question["module"], question["kernel"]))
        assert isinstance(of, Class)
        argument = question["argument"]
        if argument is not None:
            argument = argument.removeprefix(f"__import__('importlib').import_module({LISTS!r}).")
            given = [_config(kernels, machine, argument, question["home"])]
        else:
            given = []
        if question["method"] == "get_min_capability":
            answers.append(ev.once(lambda of=of: ev.method(of, "get_min_capability")))  # type: ignore[misc]
        else:
            method = question["method"]
            answers.append(ask(ev, lambda of=of, method=method, given=given: ev.method(of, method, *given)))  # type: ignore[misc]
    return answers


def _config(kernels: EngineKernels, machine: Machine, text: str, home: str) -> object:
    """A config made by the evaluator; its class is one of the package, its values are names of ``home``."""
    ev = kernels.evaluator(machine)
    name, _, rest = text.partition("(")
    of = ev.once(lambda: ev.names.look_up(LISTS, name))
    call = ast.parse(f"f({rest}", mode="eval").body
    assert isinstance(call, ast.Call)
    words = {each.arg: ev.text(ast.unparse(each.value), home) for each in call.keywords if each.arg}
    return ev.once(lambda: ev.call(of, [], words))


def engine_answers(python: Path, capability: tuple[int, int] | None, questions: list[dict[str, Any]]) -> list[Any]:
    child = subprocess.run(
        [str(python), str(CHILD)],
        input=json.dumps({"capability": capability, "questions": questions}),
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    lines = [line.removeprefix("ANSWER ") for line in child.stdout.splitlines() if line.startswith("ANSWER ")]
    assert len(lines) == len(questions), child.stderr[-2000:]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("capability", PLATFORMS, ids=lambda each: "cpu" if each is None else f"{each[0]}.{each[1]}")
def test_what_is_read_is_what_the_kernels_say(
    kernels: EngineKernels, engine_python: Path, capability: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if capability is not None:
        monkeypatch.setattr(kernels, "build", "cuda")
    questions = questions_about(kernels)
    said = engine_answers(engine_python, capability, questions)
    read = read_answers(kernels, machine_with(capability), questions)
    counts: Counter[str] = Counter()
    wrong = []
    for question, truth, own in zip(questions, said, read, strict=True):
        if isinstance(own, Answer) and own.accepted is None:
            counts["left open by reading"] += 1
        elif "raised" in truth:
            counts["not answered by the engine"] += 1
        elif (own.accepted if isinstance(own, Answer) else own) == truth.get("accepted", truth.get("value")):
            counts["the same"] += 1
            if isinstance(own, Answer) and own.reasons and truth["reason"] not in own.reasons:
                counts["the same in other words"] += 1
        else:
            counts["different"] += 1
            wrong.append((question, truth, own))
    print(f"\n{capability or 'cpu'}: {dict(counts)}")
    assert not wrong[:5]
    assert counts["the same"] > 0.5 * len(questions)
