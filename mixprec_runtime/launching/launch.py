"""Launch a planned mixture: run folder, engine, health, and an orderly end whatever happens."""

from __future__ import annotations

__all__ = ["Launch", "Observer", "check_port", "prepare", "serve"]

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mixprec_runtime.launching.command import ServeCommand
from mixprec_runtime.launching.engines import command_of
from mixprec_runtime.launching.errors import CannotWrite, EngineFailed, PortInUse, RefusedPlan
from mixprec_runtime.launching.logfile import LogFile
from mixprec_runtime.launching.ports import port_kept
from mixprec_runtime.launching.processes import EngineProcess
from mixprec_runtime.launching.server import healthy, listeners, port_fault
from mixprec_runtime.launching.statefolder import new_state_folder
from mixprec_runtime.launching.stopping import Stop, heeding_signals
from mixprec_runtime.loading.state import STATE_DIR, read_accounts, read_progress
from mixprec_runtime.records.account import LoadAccount
from mixprec_runtime.records.mix import Mix
from mixprec_runtime.records.plan import Plan
from mixprec_runtime.runfolder import run_folder_path, write_run_folder

POLL = 0.1  # seconds between two looks at a starting engine
HEALTH_INTERVAL = 0.5
STARTING_GRACE = 2.0  # seconds that an engine gets to end when nobody is served yet
SERVING_GRACE = 15.0  # ... and when requests may be under way
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

    def died(self, code: int, log: Path, last_lines: tuple[str, ...]) -> None:
        """The engine has ended by itself while it served."""


def prepare(
    mix: Mix,
    plan: Plan,
    *,
    root: Path,
    arguments: Sequence[str],
    engine: str = "vllm",
    plugins: bool | None = None,
) -> Launch:
    """Decide everything about a launch. Raises RefusedPlan for a plan with errors.

    ``plugins`` is what is known of an engine that is not installed here.
    """
    if not plan.valid:
        raise RefusedPlan(plan.findings)
    run_folder = run_folder_path(plan, root=root / "runs")
    command = command_of(
        engine, run_folder, model_name=mix.file.stem, serve=mix.serve, arguments=arguments, plugins=plugins
    )
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
    with heeding_signals() as stop, port_kept(command.host, command.port, root=launch.root):
        with stop.interrupting():
            observer.phase("writing the run folder")
            write_run_folder(launch.plan, root=launch.run_folder.parent)
            state = new_state_folder(launch.root, name=launch.mix.file.stem)
            observer.phase("starting the engine")
        log, grace = LogFile(state / "engine.log"), STARTING_GRACE
        engine = _start(command, {**(environment or {}), STATE_DIR: str(state)}, log.file)
        try:
            if _until_ready(engine, log, launch, state, observer, stop):
                grace = SERVING_GRACE
                accounts = read_accounts(state)
                observer.ready(launch, accounts)
                observer.kept(launch, accounts, state)
                if while_ready is None:
                    _while_running(engine, log, observer, stop)
                    if not stop.is_set():
                        _drain(log, observer)
                        observer.died(engine.code() or 0, log.file, log.telling(ERROR_LINE))
                else:
                    with suppress(KeyboardInterrupt), stop.interrupting():
                        while_ready(command)
            elif not stop.is_set():
                _drain(log, observer)
                raise _failure(engine, log, command, read_accounts(state))
        finally:
            try:
                if engine.members():
                    observer.stopping()
            finally:  # also when nobody can be told any more, as where the terminal is gone
                code = engine.end(grace=grace)
            _drain(log, observer)
    return code


def _start(command: ServeCommand, environment: Mapping[str, str], log: Path) -> EngineProcess:
    try:
        return EngineProcess(command.words, {**command.environment, **environment}, log)
    except OSError as fault:
        raise CannotWrite(log, fault.strerror or str(fault)) from fault


def _drain(log: LogFile, observer: Observer) -> None:
    for line in log.new_lines():
        observer.log(line)


def _until_ready(
    engine: EngineProcess,
    log: LogFile,
    launch: Launch,
    state: Path,
    observer: Observer,
    stop: Stop,
) -> bool:
    asked, loaded = 0.0, False
    while engine.code() is None and not stop.is_set():
        _drain(log, observer)
        progress = read_progress(state)
        if progress is not None and not loaded:
            observer.loading(*progress)
            loaded = progress[0] >= progress[1]
            if loaded:
                observer.phase("warming up: kernels, key-value cache, server")
        if time.monotonic() - asked > HEALTH_INTERVAL:
            asked = time.monotonic()
            if healthy(launch.command.url) and _answers_itself(engine, launch.command):
                return True
        stop.wait(POLL)
    return False


def _answers_itself(engine: EngineProcess, command: ServeCommand) -> bool:
    """Whether it is this engine that answers, and not a server that was quicker. Raises PortInUse when both listen."""
    own, others = listeners(command.host, command.port, engine.members())
    if own and others:
        raise PortInUse(command.host, command.port, "another server listens there as well")
    return not others


def _failure(
    engine: EngineProcess, log: LogFile, command: ServeCommand, accounts: tuple[LoadAccount, ...]
) -> EngineFailed | PortInUse:
    """What to say of an engine that has ended before its server answered."""
    _, others = listeners(command.host, command.port, engine.members())
    if others and not any(account.faults for account in accounts):
        return PortInUse(command.host, command.port, "something else listens there by now")
    return EngineFailed(engine.code() or 0, log.file, log.telling(ERROR_LINE), accounts)


def _while_running(engine: EngineProcess, log: LogFile, observer: Observer, stop: Stop) -> None:
    while engine.code() is None and not stop.is_set():
        _drain(log, observer)
        stop.wait(POLL)
