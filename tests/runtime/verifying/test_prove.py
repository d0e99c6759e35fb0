"""Trials in a child process: each crash is the verdict on one candidate, and the next one is tried."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mixprec_doctor.probe import Limits
from mixprec_doctor.records.kernel import KernelChoice, Tier
from mixprec_doctor.records.workload import WorkloadLayer
from mixprec_runtime.verifying import CannotProve, prove
from mixprec_runtime.verifying.prove import TRIALS
from tests.runtime.verifying.builders import FP8, INT4, layer, workload

BOUNDS = Limits(each=20.0, total=60.0, ending=2.0)
HEAD = """
import os, time, sys

KERNELS = ["First", "Second"]

def begin(number, tier, kernel):
    return {"layer": number, "stage": "begin", "tier": tier, "kernel": kernel}

def proof(number, tier, kernel, fault=None):
    told = {"kernel": kernel, "method": "Some", "fault": fault, "error": None, "bound": None, "weights": "generated",
            "timings": [], "held_bytes": None}
    return {"layer": number, "stage": "proof", "tier": tier, "proof": told}

def work(*, layers, dtype, scratch):
    surroundings()
    yield {"stage": "ready", "device": "cpu"}
    for layer in layers:
        number = layer["number"]
        if layer["tier"] == "native":
            yield begin(number, "native", None)
            choosing(layer)
            for kernel in KERNELS:
                if kernel in layer["without"]:
                    continue
                yield begin(number, "native", kernel)
                run(kernel, layer)
                yield proof(number, "native", kernel)
                break
            else:
                yield {"layer": number, "stage": "none", "tier": "native", "fault": "Failed to find a kernel"}
                layer["tier"] = "portable"
        if layer["tier"] == "portable":
            yield begin(number, "portable", "portable tiles")
            run("portable tiles", layer)
            yield proof(number, "portable", "portable tiles")
        yield {"layer": number, "stage": "end"}

def surroundings(): pass
def choosing(layer): pass
def run(kernel, layer): pass
"""

Trial = Callable[..., tuple[KernelChoice, ...]]


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """Proves layers with a made-up engine whose steps are given as code."""

    def run(code: str, *layers: WorkloadLayer, limits: Limits = BOUNDS) -> tuple[KernelChoice, ...]:
        (tmp_path / "made_up_trial.py").write_text(HEAD + code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setitem(TRIALS, "made-up", "made_up_trial")  # type: ignore[misc]
        return prove(workload(*layers), python=sys.executable, engine="made-up", limits=limits)

    return run


def told(choice: KernelChoice) -> list[tuple[str, bool | None]]:
    return [(each.candidate, each.accepted) for each in choice.verdicts if each.tier is not Tier.PLACEHOLDER]


def test_what_works_at_once_is_taken(trial: Trial) -> None:
    (found,) = trial("", layer())
    assert told(found) == [("First", True)]


@pytest.mark.parametrize("deed, words", [
    ("os.abort()", "SIGABRT"), ("os._exit(3)", "code 3"), ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
])  # fmt: skip
def test_a_crash_is_the_verdict_on_its_kernel_and_the_next_is_tried(trial: Trial, deed: str, words: str) -> None:
    (found,) = trial(f"def run(kernel, layer):\n    if kernel == 'First': {deed}\n", layer())
    assert told(found) == [("First", False), ("Second", True)]
    assert words in found.verdicts[0].reasons[0]
    assert found.passed_over == ("First",)


def test_a_hang_is_a_verdict_too(trial: Trial) -> None:
    hasty = Limits(each=3.0, total=60.0, ending=2.0)
    (found,) = trial("def run(kernel, layer):\n    if kernel == 'First': time.sleep(100)\n", layer(), limits=hasty)
    assert told(found) == [("First", False), ("Second", True)]
    assert "did not end within 3 s" in found.verdicts[0].reasons


def test_what_was_proved_before_a_crash_is_not_tried_again(trial: Trial, tmp_path: Path) -> None:
    code = (
        f"def run(kernel, layer):\n"
        f"    open({str(tmp_path / 'log')!r}, 'a').write(f'{{layer[\"number\"]}} {{kernel}}\\n')\n"
        f"    if layer['number'] == 1 and kernel != 'portable tiles': os.abort()\n"
    )
    first, second = trial(code, layer(FP8), layer(INT4))
    assert told(first) == [("First", True)]
    assert told(second) == [
        ("First", False), ("Second", False), ("another kernel of the engine", False), ("portable tiles", True),
    ]  # fmt: skip
    assert (tmp_path / "log").read_text().splitlines() == ["0 First", "1 First", "1 Second", "1 portable tiles"]


def test_a_crash_while_the_engine_chooses_leads_to_the_portable_kernels(trial: Trial) -> None:
    (found,) = trial("def choosing(layer): os.abort()\n", layer())
    assert told(found) == [("the engine's own choice", False), ("portable tiles", True)]


def test_where_everything_crashes_the_placeholder_is_left(trial: Trial) -> None:
    # the portable kernel is asked for twice: this made-up engine does not leave out what it is told to
    (found,) = trial("def run(kernel, layer): os.abort()\n", layer())
    assert found.winner is not None
    assert found.winner.tier is Tier.PLACEHOLDER


def test_an_engine_without_surroundings_leaves_layers_undecided_and_says_why(trial: Trial) -> None:
    (found,) = trial("def surroundings(): raise RuntimeError('no driver')\n", layer())
    assert found.winner is not None
    assert (found.winner.accepted, found.winner.proof) == (None, None)
    assert "RuntimeError: no driver" in found.winner.reasons[0]
    (found,) = trial("def surroundings(): os.abort()\n", layer())
    assert found.winner is not None
    assert "SIGABRT" in found.winner.reasons[0]


def test_used_up_time_leaves_layers_undecided(trial: Trial) -> None:
    hasty = Limits(each=20.0, total=4.0, ending=2.0)
    code = "def run(kernel, layer):\n    if layer['number']: time.sleep(100)\n"
    first, second = trial(code, layer(FP8), layer(INT4), limits=hasty)
    assert told(first) == [("First", True)]
    assert second.winner is not None
    assert (second.winner.accepted, second.winner.proof) == (None, None)
    assert "time was used up" in second.winner.reasons[0]


def test_an_engine_that_nobody_can_try_is_named() -> None:
    with pytest.raises(CannotProve, match="vllm"):
        prove(workload(layer()), python=sys.executable, engine="another", limits=BOUNDS)
