"""Measuring: commands in fresh processes, one after the other, each with its time and its peak of memory."""

from __future__ import annotations

__all__ = ["Command", "Comparison", "Figures", "Sample", "measure"]

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, kw_only=True)
class Command:
    """What is run. With ``cold`` each run has an empty cache folder of its own, else all runs share a filled one."""

    words: tuple[str, ...]
    cold: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    accepts: tuple[int, ...] = (0,)  # exit codes: a finding is no failure


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run: seconds on the clock, seconds of CPU, and the most memory that any process of it held."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A command and its peer, which does the like in a process of its own; None: there is no such thing."""

    title: str
    ours: Command
    peer: Command | None
    peer_title: str
    repeats: int = 5


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured of one comparison; ``loads`` are load averages of one minute, before and after."""

    title: str
    peer_title: str
    ours: tuple[Sample, ...]
    peer: tuple[Sample, ...]
    loads: tuple[float, float]

    @property
    def seconds(self) -> tuple[float, float | None]:
        """Medians of ours and of the peer."""
        return _median(self.ours, "seconds") or 0.0, _median(self.peer, "seconds")

    @property
    def cpu_seconds(self) -> tuple[float, float | None]:
        """Medians of the seconds of CPU, which a busy machine changes less."""
        return _median(self.ours, "cpu_seconds") or 0.0, _median(self.peer, "cpu_seconds")

    @property
    def peaks(self) -> tuple[float, float | None]:
        """Medians of the most memory, in bytes."""
        return _median(self.ours, "peak_bytes") or 0.0, _median(self.peer, "peak_bytes")

    @property
    def spread(self) -> tuple[float, float]:
        """The quickest and the slowest of our runs, in seconds."""
        return min(each.seconds for each in self.ours), max(each.seconds for each in self.ours)


class CommandFailed(RuntimeError):
    """A command that is to be measured ended with an exit code that says it did not do its work."""

    def __init__(self, command: Command, code: int, words: str) -> None:
        super().__init__(command, code, words)
        self.command = command
        self.code = code
        self.words = words

    def __str__(self) -> str:
        return f"{' '.join(self.command.words)} ended with {self.code}:\n{self.words}"


def measure(comparison: Comparison) -> Figures:
    """Run both in turn, so that a busy machine is busy for both.

    A first run of each is left out: it fills the cache, and leaves bytecode as an installation has it. What is measured
    once only goes without.
    """
    before = os.getloadavg()[0]
    ours: list[Sample] = []
    peer: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder:
        pairs = [(each, found) for each, found in ((comparison.ours, ours), (comparison.peer, peer)) if each]
        if comparison.repeats > 1:
            for command, _ in pairs:
                _run(command, Path(folder))
        for _ in range(comparison.repeats):
            for command, found in pairs:
                found.append(_run(command, Path(folder)))
    return Figures(
        title=comparison.title,
        peer_title=comparison.peer_title,
        ours=tuple(ours),
        peer=tuple(peer),
        loads=(before, os.getloadavg()[0]),
    )


def _run(command: Command, folder: Path) -> Sample:
    with tempfile.TemporaryDirectory() as empty:
        environment = {
            **os.environ,
            "MIXPREC_CACHE": empty if command.cold else str(folder / "cache"),
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),  # none is written into a checkout
            **command.environment,
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        answer, said = folder / "answer.json", folder / "said.txt"
        with said.open("wb") as stream:
            words = (sys.executable, "-I", "-S", str(LAUNCHER), str(answer), *command.words)
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=stream, env=environment)
        told = json.loads(answer.read_text(encoding="utf-8"))
        if told["code"] not in command.accepts:
            raise CommandFailed(command, told["code"], said.read_text(errors="replace")[-2000:])
    return Sample(seconds=told["seconds"], cpu_seconds=told["cpu_seconds"], peak_bytes=told["peak_bytes"])


def _median(samples: tuple[Sample, ...], name: str) -> float | None:
    return statistics.median(getattr(each, name) for each in samples) if samples else None
