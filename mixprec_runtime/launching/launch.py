"""Launch a planned mixture: run folder, engine, health, and an orderly end whatever happens."""

from __future__ import annotations

__all__ = ["Launch", "Observer", "check_port", "prepare", "serve"]

import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from mixprec_runtime.adapters.vllm.command import serve_command
from mixprec_runtime.launching.command import ServeCommand
from mixprec_runtime.launching.errors import EngineFailed, PortInUse, RefusedPlan
from mixprec_runtime.launching.logfile import LogFile
from mixprec_runtime.launching.processes import EngineProcess
from mixprec_runtime.launching.server import healthy, port_fault
from mixprec_runtime.loading.state import STATE_DIR, read_accounts, read_progress
from mixprec_runtime.records.account import LoadAccount
from mixprec_runtime.records.mix import Mix
from mixprec_runtime.records.plan import Plan
from mixprec_runtime.runfolder import STEM, run_folder_path, write_run_folder

POLL = 0.1  # seconds between two looks at a starting engine
HEALTH_INTERVAL = 0.5
STARTING_GRACE = 2.0  # seconds that an engine gets to end when nobody is served yet
SERVING_GRACE = 15.0  # ... and when requests may be under way
KEPT_LAUNCHES = 5  # folders of earlier launches (log, account) that are kept
ERROR_LINE = re.compile(r"\b(\w*(Error|Exception|Exit|Interrupt)\b|CRITICAL|Killed|core dumped)")


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What a launch will start. Nothing of it has been written or started yet."""

    plan: Plan
    mix: Mix
    root: Path
    run_folder: Path
    command: ServeCommand


class Observer:
    """What a launch tells while it goes on; every method may be left as it is."""

    def phase(self, text: str) -> None:
        """A new step has begun."""

    def log(self, line: str) -> None:
        """The engine has written a line."""

    def loading(self, done: int, total: int) -> None:
        """So many of so many planned bytes are in the model."""

    def ready(self, launch: Launch, accounts: tuple[LoadAccount, ...]) -> None:
        """The server answers; these are the accounts of all ranks."""

    def kept(self, launch: Launch, accounts: tuple[LoadAccount, ...], folder: Path) -> None:
        """The server answers; log and accounts of this launch are in that folder."""

    def stopping(self) -> None:
        """The engine is being ended."""


def prepare(mix: Mix, plan: Plan, *, root: Path, arguments: Sequence[str]) -> Launch:
    """Decide everything about a launch. Raises RefusedPlan for a plan with errors."""
    if not plan.valid:
        raise RefusedPlan(plan.findings)
    run_folder = run_folder_path(plan, root=root / "runs")
    command = serve_command(run_folder, model_name=mix.file.stem, serve=mix.serve, arguments=arguments)
    return Launch(plan=plan, mix=mix, root=root, run_folder=run_folder, command=command)


def check_port(launch: Launch) -> None:
    """Raises PortInUse when the server could not listen where it is to."""
    command = launch.command
    if fault := port_fault(command.host, command.port):
        raise PortInUse(command.host, command.port, fault)


def serve(
    launch: Launch,
    observer: Observer,
    *,
    while_ready: Callable[[ServeCommand], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run the engine until it ends or a signal comes; returns the engine's own code.

    With ``while_ready`` the engine is ended as soon as that function returns. Raises PortInUse before anything is
    started, and EngineFailed when the engine ends before its server answers. No process is left behind.
    """
    command = launch.command
    check_port(launch)
    observer.phase("writing the run folder")
    write_run_folder(launch.plan, root=launch.run_folder.parent)
    state = _state_folder(launch)
    observer.phase("starting the engine")
    with _signals() as stop:
        engine = EngineProcess(
            command.words,
            {**command.environment, **(environment or {}), STATE_DIR: str(state)},
            state / "engine.log",
        )
        log, grace = LogFile(state / "engine.log"), STARTING_GRACE
        try:
            if _until_ready(engine, log, launch, state, observer, stop):
                grace = SERVING_GRACE
                accounts = read_accounts(state)
                observer.ready(launch, accounts)
                observer.kept(launch, accounts, state)
                if while_ready is None:
                    _while_running(engine, log, observer, stop)
                else:
                    stop.interrupting(while_ready, command)
            elif not stop.is_set():
                for line in log.new_lines():
                    observer.log(line)
                raise EngineFailed(engine.code() or 0, log.file, log.telling(ERROR_LINE), read_accounts(state))
        finally:
            if engine.members():
                observer.stopping()
            code = engine.end(grace=grace)
            for line in log.new_lines():
                observer.log(line)
    return code


def _until_ready(
    engine: EngineProcess,
    log: LogFile,
    launch: Launch,
    state: Path,
    observer: Observer,
    stop: _Stop,
) -> bool:
    asked, loaded = 0.0, False
    while engine.code() is None and not stop.is_set():
        for line in log.new_lines():
            observer.log(line)
        progress = read_progress(state)
        if progress is not None and not loaded:
            observer.loading(*progress)
            loaded = progress[0] >= progress[1]
            if loaded:
                observer.phase("warming up: kernels, key-value cache, server")
        if time.monotonic() - asked > HEALTH_INTERVAL:
            asked = time.monotonic()
            if healthy(launch.command.url):
                return True
        stop.wait(POLL)
    return False


def _while_running(engine: EngineProcess, log: LogFile, observer: Observer, stop: _Stop) -> None:
    while engine.code() is None and not stop.is_set():
        for line in log.new_lines():
            observer.log(line)
        stop.wait(POLL)


def _state_folder(launch: Launch) -> Path:
    """A new folder for this launch's log and accounts; old ones of launches that have ended are taken away."""
    parent = launch.root / "launches"
    parent.mkdir(parents=True, exist_ok=True)
    ended = sorted((f for f in parent.iterdir() if not _alive(f)), key=_modified)
    for folder in ended[: -KEPT_LAUNCHES or None]:
        shutil.rmtree(folder, ignore_errors=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return Path(tempfile.mkdtemp(prefix=f"{launch.mix.file.stem[:STEM]}-{stamp}-{os.getpid()}-", dir=parent))


def _modified(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # another launch has just taken it away
        return 0.0


def _alive(folder: Path) -> bool:
    pid = folder.name.split("-")[-2] if folder.name.count("-") >= 3 else ""
    return pid.isdigit() and Path(f"/proc/{pid}").exists()


class _Stop:
    """Set by a signal; while something is done that does not look at it, a signal interrupts that too.

    It is no ``threading.Event``: a handler that sets one waits for ever when the signal comes while the main thread
    holds the lock of that event, on its way into or out of ``wait``.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._interrupts = False

    def set(self) -> None:
        """Ask for the end."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._is_set

    def wait(self, seconds: float) -> None:
        """Pause; a signal ends the pause at its end at the latest."""
        if not self._is_set:
            time.sleep(seconds)

    def note(self) -> None:
        """A signal has come."""
        self.set()
        if self._interrupts:
            self._interrupts = False
            raise KeyboardInterrupt

    def interrupting(self, work: Callable[[ServeCommand], None], command: ServeCommand) -> None:
        """Do something that a signal may end."""
        self._interrupts = True
        try:
            if not self.is_set():
                work(command)
        except KeyboardInterrupt:
            self.set()
        finally:
            self._interrupts = False


@contextmanager
def _signals() -> Iterator[_Stop]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set; a second signal changes nothing more."""
    stop = _Stop()

    def note(number: int, frame: FrameType | None) -> None:
        stop.note()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
