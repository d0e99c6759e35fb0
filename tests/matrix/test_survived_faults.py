"""A real engine that is killed, or whose launcher is, at every stage: all of it ends, and the words are ours."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.matrix.generated_mixture import write_mixture
from tests.matrix.launches import Launched, start

pytestmark = [pytest.mark.engine, pytest.mark.heavy]
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed in this interpreter", allow_module_level=True)

GONE = 30  # seconds after which nothing may be left


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixture(tmp_path_factory.mktemp("faults"), name="faults")


@pytest.fixture
def launched(mix: Path, tmp_path: Path) -> Iterator[Launched]:
    made = start(mix, tmp_path, quiet=True)
    try:
        yield made
    finally:
        for pid in made.descendants():
            os.kill(pid, signal.SIGKILL)
        made.process.wait()


def gone(launched: Launched) -> None:
    until = time.monotonic() + GONE
    while left := launched.descendants():
        assert time.monotonic() < until, f"still there: {[command(pid) for pid in left]}"
        time.sleep(0.2)


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def first(launched: Launched, *words: str) -> int:
    """The first process of the launch whose command line has one of these words."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        for pid in sorted(launched.descendants()):
            if any(word in command(pid) for word in words):
                return pid
        time.sleep(0.05)
    raise AssertionError(f"no process with {words}: {[command(pid) for pid in launched.descendants()]}")


SERVER = ("vllm.entrypoints",)
INNER = ("VLLM::EngineCore", "VLLM::Worker")  # how vLLM's inner processes call themselves


@pytest.mark.parametrize("stage", ["starting the engine", "loading the planned tensors", "serving at"])
def test_a_launcher_that_is_killed_takes_the_engine_along(launched: Launched, stage: str) -> None:
    launched.wait_for_text(stage)
    if stage == "starting the engine":
        time.sleep(8)
    assert len(launched.descendants()) > 2
    launched.process.kill()
    launched.process.wait()
    gone(launched)


def test_a_server_that_is_killed_while_it_loads_leaves_no_worker(launched: Launched) -> None:
    launched.wait_for_text("loading the planned tensors")
    os.kill(first(launched, *SERVER), signal.SIGKILL)
    assert launched.process.wait(60) == 137
    gone(launched)
    assert "the engine ended with code 137 before its server answered" in launched.text()
    assert "Traceback" not in launched.text()


@pytest.mark.parametrize("whom", [SERVER, INNER], ids=["server", "inner process"])
def test_an_engine_that_is_killed_while_it_serves_is_said_and_cleared_away(
    launched: Launched, whom: tuple[str, ...]
) -> None:
    launched.wait_for_text("serving at")
    os.kill(first(launched, *whom), signal.SIGKILL)
    assert launched.process.wait(90) != 0 or whom is INNER
    gone(launched)
    assert "while it served" in launched.text() and "the engine's whole log" in launched.text()
    assert "Traceback" not in launched.text()


def test_a_checkpoint_that_changes_between_plan_and_load_is_refused(launched: Launched, mix: Path) -> None:
    launched.wait_for_text("starting the engine")
    file = next((mix.parent / "gptq").glob("*.safetensors"))
    os.utime(file, ns=(5, 5))
    assert launched.process.wait(180) == 1
    gone(launched)
    assert (
        "loading was refused: 1 fault" in launched.text() and "has changed since the plan was made" in launched.text()
    )
    assert "Traceback" not in launched.text()
