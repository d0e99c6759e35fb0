"""Faults at every stage of a launch: nothing keeps running, nothing half-written is left, and nobody sees a traceback."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mixprec_runtime.launching.server import free_port
from tests.runtime.builders import Workshop
from tests.runtime.launching.children import STAGED, wait_for, write

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
ROOT = Path(__file__).resolve().parents[3]
MARK = "MIXPREC_TEST_MARK"
SAID = {"starting": "starting the engine", "loading": "loading the planned tensors", "serving": "serving at"}
OWN_STAGES = ("reading", "planning", "proving", "writing", "cleaning")


@dataclass(kw_only=True)
class Launcher:
    """A launcher in a process of its own, its output, and the mark that all its descendants carry."""

    process: subprocess.Popen[bytes]
    output: Path
    mark: str
    port: int
    cache: Path

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def reached(self, text: str) -> None:
        """Wait until it has said so."""
        wait_for(lambda: text in self.text() or self.process.poll() is not None)
        assert text in self.text(), self.text()

    def reached_stage(self, stage: str) -> None:
        """Wait until it is there, with the engine and the worker that the engine starts first."""
        self.reached(SAID.get(stage, f"halted: {stage}"))
        wait_for(lambda: stage not in SAID or len(self.family()) >= 4 or self.process.poll() is not None)

    def family(self) -> list[int]:
        """Living processes that descend from it, itself among them."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                marked = f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes()
                state = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            except (OSError, IndexError):
                continue
            if entry.name.isdigit() and marked and state != "Z":
                found.append(int(entry.name))
        return found

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its code, once it and all that it started are gone."""
        code = self.process.wait(20)
        wait_for(lambda: not self.family(), seconds=10)
        assert "Traceback" not in self.text(), self.text()
        return code

    def runs(self) -> list[str]:
        return sorted(folder.name for folder in (self.cache / "runs").glob("[!.]*"))

    def half_written(self) -> list[str]:
        folders = (self.cache / "runs").glob("*")
        return [each.name for each in folders if each.name.startswith(".") or not (each / "mixprec-run.json").is_file()]


class Workbench:
    """Starts launchers on one mix."""

    def __init__(self, shop: Workshop, folder: Path) -> None:
        shop.checkpoints("base")
        self.mix = shop.mix("model: base\n")
        self.folder = folder
        self.script = write(folder, "staged.py", STAGED)
        self.started: list[Launcher] = []

    def start(self, stage: str, *, port: int | None = None) -> Launcher:
        mark, port = uuid.uuid4().hex, port or free_port(0)
        output, cache = self.folder / f"output-{mark[:8]}", self.folder / "cache"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                self.words(stage, port), cwd=ROOT, stdout=stream, stderr=stream,
                env={**os.environ, MARK: mark, "MIXPREC_CACHE": str(cache)},
            )  # fmt: skip
        self.started.append(Launcher(process=process, output=output, mark=mark, port=port, cache=cache))
        return self.started[-1]

    def words(self, stage: str, port: int) -> list[str]:
        words = ["-m", "tests.runtime.launching.launcher", stage, str(port), str(self.script), stage, str(self.mix)]
        return [sys.executable, *words]


@pytest.fixture
def bench(shop: Workshop, tmp_path: Path) -> Iterator[Workbench]:
    made = Workbench(shop, tmp_path)
    yield made
    for launcher in made.started:
        for pid in launcher.family():
            os.kill(pid, signal.SIGKILL)
        launcher.process.wait()


@pytest.mark.parametrize("stage", OWN_STAGES)
def test_ctrl_c_while_the_launcher_itself_works(bench: Workbench, stage: str) -> None:
    launcher = bench.start(stage)
    launcher.reached_stage(stage)
    launcher.send(signal.SIGINT)
    assert launcher.ended() == 130
    assert "mixprec: interrupted" in launcher.text() and launcher.half_written() == []


@pytest.mark.parametrize("stage, number", [
    ("starting", signal.SIGINT), ("loading", signal.SIGINT), ("loading", signal.SIGTERM), ("serving", signal.SIGHUP),
])  # fmt: skip
def test_a_signal_while_the_engine_works_ends_all_of_it(bench: Workbench, stage: str, number: int) -> None:
    launcher = bench.start(stage)
    launcher.reached_stage(stage)
    launcher.send(number)
    launcher.ended()
    assert "stopping the engine" in launcher.text() and launcher.half_written() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_leave_nothing_half_written_either(bench: Workbench, number: int) -> None:
    launcher = bench.start("writing")
    launcher.reached_stage("writing")
    launcher.send(number)
    assert launcher.ended() == 130
    assert launcher.half_written() == []


def test_a_second_ctrl_c_while_it_stops_changes_nothing(bench: Workbench) -> None:
    launcher = bench.start("stopping")
    launcher.reached("serving at")
    launcher.send(signal.SIGINT)
    launcher.reached("stopping the engine")
    launcher.send(signal.SIGINT)
    launcher.send(signal.SIGTERM)
    assert launcher.ended() == 128 + signal.SIGTERM
    assert launcher.half_written() == []


@pytest.mark.parametrize("stage", ["loading", "serving"])
def test_a_launcher_that_is_killed_takes_the_engine_and_its_deaf_worker_along(bench: Workbench, stage: str) -> None:
    launcher = bench.start(stage)
    launcher.reached_stage(stage)
    assert len(launcher.family()) == 4  # itself, the keeper, the engine, its worker
    launcher.send(signal.SIGKILL)
    assert launcher.ended() == -signal.SIGKILL


def test_a_launcher_that_is_killed_while_it_writes_leaves_nothing_for_whole(bench: Workbench) -> None:
    launcher = bench.start("writing")
    launcher.reached_stage("writing")
    launcher.send(signal.SIGKILL)
    launcher.ended()
    (left,) = launcher.half_written()
    assert left.startswith(".") and launcher.runs() == []
    os.utime(launcher.cache / "runs" / left, (1, 1))
    after = bench.start("serving")
    after.reached("serving at")
    assert after.half_written() == [] and len(after.runs()) == 1
    after.send(signal.SIGINT)
    assert after.ended() == 0


@pytest.mark.parametrize("mode, code, words", [
    ("killed", 137, "the engine ended with code 137 before its server answered"),
    ("killed while serving", 137, "the engine ended with code 137 while it served"),
    ("worker killed", 1, "RuntimeError: a worker died"),
])  # fmt: skip
def test_an_engine_that_is_killed_gives_its_code_and_leaves_no_worker(
    bench: Workbench, mode: str, code: int, words: str
) -> None:
    launcher = bench.start(mode)
    assert launcher.ended() == code
    assert words in launcher.text()


def test_two_launches_of_one_mix_at_once_share_a_folder(bench: Workbench) -> None:
    both = [bench.start("serving"), bench.start("serving")]
    for launcher in both:
        launcher.reached("serving at")
    assert len(both[0].runs()) == 1 and both[0].half_written() == []
    for launcher in both:
        launcher.send(signal.SIGINT)
        assert launcher.ended() == 0


@pytest.mark.parametrize("mode", ["serving", "shared"])
def test_of_two_launches_on_one_port_only_one_serves(bench: Workbench, mode: str) -> None:
    """Both find the port free and start; engines that share a port would answer for each other."""
    port = free_port(0)
    both = [bench.start(mode, port=port), bench.start(mode, port=port)]
    wait_for(lambda: any(launcher.process.poll() is not None for launcher in both))
    (loser,) = [launcher for launcher in both if launcher.process.poll() is not None] or [both[0]]
    assert loser.ended() == 1 and f"wanted 127.0.0.1:{port} for the server, but " in loser.text()
    (winner,) = [launcher for launcher in both if launcher is not loser]
    winner.reached("serving at")
    winner.send(signal.SIGINT)
    assert winner.ended() == 0


def test_a_stranger_who_was_quicker_on_the_port_is_not_taken_for_the_engine(bench: Workbench) -> None:
    launcher = bench.start("starting")
    launcher.reached_stage("starting")
    with socket.create_server(("127.0.0.1", launcher.port)) as stranger:
        stop = threading.Event()

        def answer() -> None:
            stranger.settimeout(0.2)
            while not stop.is_set():
                try:
                    connection, _ = stranger.accept()
                except OSError:
                    continue
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            time.sleep(1.5)  # it asks twice a second
            assert "serving at" not in launcher.text()
            (engine,) = [pid for pid in launcher.family() if os.getsid(pid) == pid and _runs(pid, "staged.py")]
            os.kill(engine, signal.SIGKILL)
            assert launcher.ended() == 1
        finally:
            stop.set()
            thread.join()
    assert (
        f"wanted 127.0.0.1:{launcher.port} for the server, but something else listens there by now" in launcher.text()
    )


def _runs(pid: int, name: str) -> bool:
    return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("room, said", [(0, "run folder"), (700, "run folder")])
def test_a_disk_that_takes_no_more_is_said_and_nothing_half_written_stays(
    bench: Workbench, room: int, said: str
) -> None:
    """The launcher may write files of so many bytes only: none at all, or the first one in part."""
    cache = bench.folder / "cache"
    done = subprocess.run(
        bench.words("serving", free_port(0)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "MIXPREC_CACHE": str(cache)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert said in done.stderr and "cannot be written: File too large" in done.stderr
    assert list((cache / "runs").iterdir()) == []
