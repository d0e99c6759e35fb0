"""Every way to die becomes a record, and no process outlives it (the fixture ``mark`` looks after each test)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mixprec_doctor.probe import Limits
from mixprec_doctor.records.probe import Kind, Outcome, ProbeRequest
from tests.doctor.probe.conftest import HASTY, PATIENT, Victim


def test_an_exception_is_told_with_its_chain_and_its_last_frames(victim: Victim) -> None:
    victim.write("inner.py", "def fail():\n    raise OSError('the root')\n")
    found = victim.imports(
        "import inner\ntry:\n    inner.fail()\nexcept OSError as fault:\n    raise RuntimeError('on top') from fault\n"
    )
    assert found.outcome is Outcome.RAISED
    assert found.fault is not None
    assert str(found.fault) == "RuntimeError: on top"
    assert str(found.fault.root) == "OSError: the root"
    last = found.fault.root.frames[-1]
    assert (last.file, last.line, last.text) == (str(victim.site / "inner.py"), 2, "raise OSError('the root')")


def test_a_cause_that_python_would_hide_is_told_and_marked(victim: Victim) -> None:
    found = victim.imports(
        "try:\n    import absent_library\nexcept ImportError:\n    raise ValueError('hidden') from None\n"
    )
    assert found.fault is not None
    assert (found.fault.told, found.fault.root.about) == (False, "absent_library")


def test_a_package_that_raises_something_odd_is_no_trouble(victim: Victim) -> None:
    text = (
        "class Odd(BaseException):\n    def __str__(self):\n        raise ValueError\n"
        "fault = Odd()\nfault.__context__ = KeyError('x' * 100_000)\nraise fault\n"
    )
    found = victim.imports(text)
    assert found.fault is not None
    assert found.fault.type == "victim.Odd"
    assert "cannot be put in words" in found.fault.message
    assert len(found.fault.root.message) < 5000


def test_endless_recursion_is_an_exception_with_bounded_frames(victim: Victim) -> None:
    found = victim.imports("def again():\n    again()\nagain()\n")
    assert found.fault is not None
    assert found.fault.type == "RecursionError"
    assert len(found.fault.frames) < 20
    assert found.fault.omitted > 500


@pytest.mark.parametrize("leave, code", [
    ("raise SystemExit(7)", 7), ("import sys\nsys.exit('no licence')", 1), ("import os\nos._exit(9)", 9),
    ("import os\nos._exit(0)", 0), ("import sys\nsys.exit(0)", 0),
])  # fmt: skip
def test_an_import_that_leaves_is_told_with_its_code(victim: Victim, leave: str, code: int) -> None:
    found = victim.imports(leave)
    assert (found.outcome, found.exit_code) == (Outcome.EXITED, code)


@pytest.mark.parametrize("deed, name", [
    ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    ("import os\nos.abort()", "SIGABRT"),
    ("import os, signal\nos.kill(os.getpid(), signal.SIGILL)", "SIGILL"),
    ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
])  # fmt: skip
def test_a_crash_is_told_with_its_signal_and_the_line_of_python(victim: Victim, deed: str, name: str) -> None:
    found = victim.imports(deed)
    assert (found.outcome, found.signal) == (Outcome.SIGNAL, name)
    stack = [(frame.file, frame.line) for frame in found.stack]
    assert ((str(victim.site / "victim.py"), 2) in stack) is (name != "SIGKILL")  # of that one nobody hears inside
    assert not list(Path.cwd().glob("core*"))


def test_a_hang_ends_with_its_time_and_says_where_it_hung(victim: Victim) -> None:
    found = victim.imports("import time\n\n\ntime.sleep(1000)\n", limits=HASTY)
    assert found.outcome is Outcome.TIMEOUT
    assert found.stack[-1].line == 4
    assert 2.9 <= found.seconds < 15


def test_a_hang_that_ignores_signals_ends_too(victim: Victim) -> None:
    text = (
        "import signal, time\n"
        "for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    try:\n        signal.signal(number, signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\n"
        "while True:\n    time.sleep(1)\n"
    )
    assert victim.imports(text, limits=HASTY).outcome is Outcome.TIMEOUT


def test_more_memory_than_allowed_ends_it(victim: Victim) -> None:
    text = "import time\nheld = []\nwhile True:\n    held.append(bytearray(b'x' * 2**24))\n    time.sleep(0.01)\n"
    found = victim.imports(text, limits=Limits(each=60.0, total=60.0, memory=2**28))
    assert found.outcome is Outcome.OUT_OF_MEMORY
    assert found.peak_bytes is not None
    assert found.peak_bytes > 2**28


def test_memory_of_children_counts_and_mapped_files_do_not(victim: Victim) -> None:
    greedy = (
        "import os, time\nif os.fork() == 0:\n    held = bytearray(b'x' * 2**29)\n    time.sleep(1000)\nos.wait()\n"
    )
    limits = Limits(each=60.0, total=60.0, memory=2**28)
    assert victim.imports(greedy, limits=limits).outcome is Outcome.OUT_OF_MEMORY
    (victim.site / "weights").write_bytes(b"x" * (2**28 + 2**27))
    text = (
        "import mmap, pathlib, time\nweights = pathlib.Path(__file__).with_name('weights').open('rb')\n"
        "mapped = mmap.mmap(weights.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "total = sum(mapped[at] for at in range(0, len(mapped), 4096))\ntime.sleep(1)\n"
    )
    assert victim.imports(text, limits=limits).worked


def test_python_s_own_memory_error_is_out_of_memory_too(victim: Victim) -> None:
    found = victim.imports("held = bytearray(2**62)\n")
    assert found.outcome is Outcome.OUT_OF_MEMORY


def test_a_flood_of_output_is_counted_and_its_ends_are_kept(victim: Victim) -> None:
    text = (
        "import sys\nprint('first line')\nfor _ in range(2000):\n    sys.stdout.write('x' * 20_000)\n"
        "print('last line')\nraise ValueError\n"
    )
    found = victim.imports(text)
    assert found.outcome is Outcome.RAISED
    assert found.stdout is not None
    assert found.stdout.size > 40_000_000
    assert len(found.stdout.head) + len(found.stdout.tail) <= 64 * 1024
    assert (found.stdout.head[:10], found.stdout.last_lines[-1][-9:]) == ("first line", "last line")


def test_warnings_and_output_alone_are_no_failure(victim: Victim) -> None:
    assert victim.imports("import warnings\nwarnings.warn('old')\nprint('hello')\n").worked


@pytest.mark.parametrize("deed", [
    "import sys\nsys.stdout.close()\nsys.stderr.close()\n",
    "import os\nos.close(1)\nos.close(2)\n",
    "import sys\nsys.stdout = sys.stderr = None\n",
    "import os\nos.closerange(3, 256)\n",
    "import os\nos.closerange(3, 256)\nkept = [open('/dev/null', 'w') for _ in range(20)]\n",
    "import json, os, sys\njson.dumps = os._exit = os.write = None\nsys.modules['json'] = None\n",
    "import builtins\nbuiltins.open = builtins.print = None\n",
    "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n",
    "import atexit, time\natexit.register(time.sleep, 1000)\n",
    "import sys\nsys.setrecursionlimit(60)\n",
    "import os\nos.fork()\n",
])  # fmt: skip
def test_an_import_that_spoils_the_process_still_worked(victim: Victim, deed: str) -> None:
    assert victim.imports(deed, limits=Limits(each=20.0, total=40.0, ending=3.0)).worked


def test_a_deleted_answer_file_is_no_trouble(victim: Victim) -> None:
    assert victim.imports("import os, sys\nos.unlink(sys.argv[2])\n").worked


def test_without_any_way_to_answer_that_is_what_is_told(victim: Victim) -> None:
    found = victim.imports("import os, sys\nos.unlink(sys.argv[2])\nos.closerange(3, 256)\n")
    assert found.outcome is Outcome.NO_ANSWER


def test_garbage_in_the_answer_file_is_passed_over(victim: Victim) -> None:
    found = victim.imports(
        "import sys\nwith open(sys.argv[2], 'ab') as stream:\n    stream.write(b'\\xff{\"end\": 1}\\n[[[')\n"
    )
    assert found.worked


def test_an_answer_file_without_end_ends_it(victim: Victim) -> None:
    text = "import sys\nwith open(sys.argv[2], 'ab', buffering=0) as stream:\n    while True:\n        stream.write(b'x' * 2**20)\n"
    assert victim.imports(text).outcome is Outcome.NO_ANSWER


def test_a_path_file_that_ends_python_is_told_once(victim: Victim) -> None:
    victim.write("bomb.pth", "import os; os._exit(5)\n")
    requests = [ProbeRequest(kind=Kind.IMPORT, engine="json", module=name) for name in ("json", "os", "sys")]
    first, *rest = victim.ask(*requests)
    assert (first.outcome, first.exit_code) == (Outcome.EXITED, 5)
    assert {each.outcome for each in rest} == {Outcome.SKIPPED}


def test_the_environment_variables_are_those_of_the_caller(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("PYTHONPATH", str(victim.site.parent / "further"))
    victim.write("../further/beside.py", "")
    found = victim.imports("import os, beside\nassert os.environ['HF_TOKEN'] == 'hf_secret'\nraise ValueError\n")
    assert found.fault is not None
    assert found.fault.type == "ValueError"
    assert "hf_secret" not in str(found.to_json())


def test_nothing_is_written_into_the_environment(victim: Victim) -> None:
    victim.imports("import json\n")
    assert sorted(path.name for path in victim.site.rglob("*")) == ["victim.py"]


def test_standard_input_is_at_its_end(victim: Victim) -> None:
    assert victim.imports("import sys\nassert sys.stdin.read() == ''\n", limits=HASTY).worked


def test_no_core_file_may_be_written(victim: Victim) -> None:
    assert victim.imports("import resource\nassert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n").worked


def test_limits_leave_the_caller_s_own_process_alone(victim: Victim) -> None:
    before = os.getpgid(0), os.getsid(0)
    victim.imports("import os\nos.killpg(0, 15)\n", limits=PATIENT)
    assert (os.getpgid(0), os.getsid(0)) == before
