"""Whatever the child starts is gone when the answer is there, and when nobody waits for it any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mixprec_doctor.records.probe import Outcome
from tests.doctor.probe.conftest import HASTY, Victim

ROOT = Path(__file__).parents[3]
_DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 256)
        time.sleep(1000)
    os._exit(0)
"""
_WORKERS = "import subprocess, sys\nworkers = [subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)']) for _ in range(5)]\n"


@pytest.mark.parametrize("start", [_DAEMON, _WORKERS, f"{_DAEMON}{_WORKERS}import os\nos._exit(3)\n"])
def test_grandchildren_are_gone_with_the_answer(victim: Victim, start: str, living: Callable[[], list[str]]) -> None:
    victim.imports(start)
    assert living() == []


def test_a_detached_grandchild_of_a_hang_is_gone_too(victim: Victim, living: Callable[[], list[str]]) -> None:
    found = victim.imports(f"{_DAEMON}{_WORKERS}import time\ntime.sleep(1000)\n", limits=HASTY)
    assert found.outcome is Outcome.TIMEOUT
    assert living() == []


def test_processes_that_go_on_forking_are_gone(victim: Victim, living: Callable[[], list[str]]) -> None:
    text = (
        "import os, time\nuntil = time.monotonic() + 60\nif os.fork() == 0:\n    os.setsid()\n"
        "    while time.monotonic() < until:\n        if os.fork():\n            time.sleep(0.05)\n            os._exit(0)\n"
    )
    assert victim.imports(text).worked
    assert living() == []


def test_a_fork_that_comes_back_from_the_import_does_not_answer_for_it(victim: Victim) -> None:
    found = victim.imports("import os, time\nif os.fork():\n    time.sleep(0.5)\n    raise ValueError('the parent')\n")
    assert found.fault is not None
    assert found.fault.message == "the parent"


def test_lines_that_leave_threads_behind_ran_and_did_not_end(victim: Victim) -> None:
    found = victim.runs(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n", limits=HASTY
    )
    assert found.worked
    assert "did not end by itself" in found.detail


def test_lines_that_crash_while_python_ends_are_told(victim: Victim) -> None:
    found = victim.runs("import atexit, os, signal\natexit.register(os.kill, os.getpid(), signal.SIGSEGV)\n")
    assert found.worked
    assert "SIGSEGV" in found.detail


_START = """
import sys
from mixprec_doctor.probe import Limits, probe
from mixprec_doctor.records.probe import Kind, ProbeRequest
text = sys.argv[2] + "\\nimport pathlib, time\\npathlib.Path(sys.argv[3]).touch()\\ntime.sleep(1000)\\n"
text = text.replace("sys.argv[3]", repr(sys.argv[3]))
probe([ProbeRequest(kind=Kind.CODE, text=text)], python=sys.argv[1], limits=Limits(each=300, total=300))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_an_interrupted_or_killed_caller(
    victim: Victim,
    number: signal.Signals,
    tmp_path: Path,
    living: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    started = tmp_path / "started"
    caller = subprocess.Popen(
        [sys.executable, "-c", _START, victim.python, _DAEMON + _WORKERS, str(started)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    assert _soon(started.exists)
    assert len(living()) > 5
    os.kill(caller.pid, number)
    caller.communicate(timeout=60)
    assert _soon(lambda: living() == [])
    assert list((tmp_path / "temporary").iterdir()) == []


def test_control_c_ends_the_command_with_130(victim: Victim, tmp_path: Path, living: Callable[[], list[str]]) -> None:
    started = tmp_path / "started"
    code = f"{_DAEMON}\nimport pathlib\npathlib.Path({str(started)!r}).touch()\ntime.sleep(1000)"
    command = [sys.executable, "-m", "mixprec_doctor", "doctor", "--verify", "--python", victim.python, "--code", code]
    doctor = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert _soon(started.exists)
    os.kill(doctor.pid, signal.SIGINT)
    _, words = doctor.communicate(timeout=60)
    assert doctor.returncode == 130
    assert "Traceback" not in words
    assert living() == []


def _soon(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.05)
    return False
