"""A measuring process is heard, asked, and never left behind."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mixprec_runtime.measuring.child import Child, MeasuringFailed

Make = Callable[[str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes a module that a child can be of; ``request`` is what it was asked."""

    def make(body: str) -> str:
        head = "import json, os, sys\nrequest = json.load(open(sys.argv[1]))\n"
        (tmp_path / "measured.py").write_text(head + textwrap.dedent(body))
        return "measured"

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return make


def test_what_a_child_tells_is_heard_and_what_else_it_prints_is_not(module: Make) -> None:
    name = module("""
        print("warming up")
        print(json.dumps({"found": request["wanted"]}))
    """)
    with Child(name, {"wanted": 7}) as child:
        assert list(child.told()) == [{"found": 7}]


def test_a_child_answers_what_it_is_asked_later(module: Make) -> None:
    name = module("""
        for line in sys.stdin:
            print(json.dumps({"twice": json.loads(line)["number"] * 2}), flush=True)
    """)
    with Child(name, {}) as child:
        for number in (3, 4):
            child.ask({"number": number})
            assert next(iter(child.told())) == {"twice": 2 * number}


def test_a_child_that_dies_is_told_of_with_its_last_words(module: Make) -> None:
    name = module("sys.exit('no such layer')")
    with Child(name, {}) as child, pytest.raises(MeasuringFailed, match=r"code 1\n  no such layer"):
        list(child.told())


def test_a_child_that_nobody_listens_to_any_more_is_ended(module: Make, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    name = module(f"""
        import time
        open({str(pid)!r}, "w").write(str(os.getpid()))
        print(json.dumps({{"ready": True}}), flush=True)
        time.sleep(600)
    """)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Child(name, {}) as child:
        assert next(iter(child.told())) == {"ready": True}
        raise KeyboardInterrupt
    assert not Path("/proc", pid.read_text()).exists()
    assert time.monotonic() - began < 60


def test_asking_a_child_that_is_gone_is_no_fault_of_its_own(module: Make) -> None:
    name = module("sys.exit(3)")
    with Child(name, {}) as child:
        with pytest.raises(MeasuringFailed):
            list(child.told())
        child.ask({"still": "there?"})
