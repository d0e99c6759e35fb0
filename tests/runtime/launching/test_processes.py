"""A child and everything it started are ended, however stubborn; codes are those of a shell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mixprec_runtime.launching.processes import EngineProcess
from tests.runtime.launching.children import STUBBORN, alive, wait_for, write

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


def started(tmp_path: Path, code: str, **environment: str) -> EngineProcess:
    return EngineProcess([sys.executable, "-c", code], environment, tmp_path / "engine.log")


def ended(process: EngineProcess) -> int:
    wait_for(lambda: process.code() is not None)
    code = process.code()
    assert code is not None
    return code


def test_output_and_errors_go_to_the_log(tmp_path: Path) -> None:
    process = started(tmp_path, "import os, sys; print(os.environ['X']); sys.stderr.write('err')", X="out")
    assert ended(process) == 0
    assert sorted((tmp_path / "engine.log").read_text().split()) == ["err", "out"]


def test_the_child_s_code_is_returned(tmp_path: Path) -> None:
    process = started(tmp_path, "raise SystemExit(5)")
    assert ended(process) == 5 and process.end(grace=1) == 5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_death_by_a_signal_is_128_and_its_number(tmp_path: Path, number: int) -> None:
    process = started(tmp_path, f"import os; os.kill(os.getpid(), {int(number)})")
    assert ended(process) == 128 + number


def test_a_running_child_has_no_code(tmp_path: Path) -> None:
    process = started(tmp_path, "import time; time.sleep(600)")
    assert process.code() is None and process.pid in process.members()
    process.end(grace=0.5)
    assert process.members() == ()


def test_a_child_that_listens_ends_itself(tmp_path: Path) -> None:
    process = started(
        tmp_path,
        "import sys, time\nprint('up', flush=True)\ntry: time.sleep(600)\nexcept KeyboardInterrupt: sys.exit(4)",
    )
    wait_for(lambda: (tmp_path / "engine.log").read_text())
    assert process.end(grace=10) == 4


def test_a_stubborn_family_is_ended_to_the_last(tmp_path: Path) -> None:
    script = write(tmp_path, "stubborn.py", STUBBORN)
    process = EngineProcess([sys.executable, str(script), "2", str(tmp_path)], {}, tmp_path / "log")
    wait_for(lambda: len([f for f in tmp_path.glob("pid*") if f.read_text()]) == 3)
    pids = [int(file.read_text()) for file in tmp_path.glob("pid*")]
    assert set(pids) == set(process.members())
    began = time.monotonic()
    assert process.end(grace=0.3) == 128 + signal.SIGKILL
    assert time.monotonic() - began < 5
    assert not [pid for pid in pids if alive(pid)] and process.members() == ()


def test_what_an_ended_child_left_is_ended_too(tmp_path: Path) -> None:
    process = started(
        tmp_path,
        "import subprocess, sys\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True)\n",
    )
    assert ended(process) == 0
    orphan = int((tmp_path / "engine.log").read_text())
    assert alive(orphan) and process.members() == (orphan,)
    assert process.end(grace=0.5) == 0
    assert not alive(orphan)


def test_the_child_dies_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    launcher = (
        "import sys, time\nfrom pathlib import Path\n"
        "from mixprec_runtime.launching.processes import EngineProcess\n"
        f"p = EngineProcess([sys.executable, '-c', 'import time; time.sleep(600)'], {{}}, Path({str(tmp_path)!r}) / 'log')\n"
        "print(p.pid, flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", launcher], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        engine = int(child.stdout.readline())
        wait_for(lambda: b"sleep" in Path(f"/proc/{engine}/cmdline").read_bytes())
        child.kill()
    wait_for(lambda: not alive(engine))


def test_the_child_has_no_terminal_and_a_session_of_its_own(tmp_path: Path) -> None:
    process = started(tmp_path, "import os, sys; print(os.getsid(0) == os.getpid(), sys.stdin.read() == '')")
    ended(process)
    assert (tmp_path / "engine.log").read_text().split() == ["True", "True"]
    assert os.getsid(0) != process.pid
