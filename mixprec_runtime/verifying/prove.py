"""Proving: every distinct layer of a workload tried in a child process, candidate by candidate, whatever crashes."""

from __future__ import annotations

__all__ = ["CannotProve", "Progress", "prove"]

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.probe import Limits, probe
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.probe import Kind, Outcome, Probe, ProbeRequest
from mixprec_doctor.records.workload import Workload, WorkloadLayer
from mixprec_runtime.verifying.hearing import Hearing
from mixprec_runtime.verifying.merging import merge

TRIALS: Mapping[str, str] = {
    "vllm": "mixprec_runtime.adapters.vllm.trial",
    "sglang": "mixprec_runtime.adapters.sglang.trial",
}
"""The module that tries layers with an engine's own classes, by engine."""
FEW = 12  # processes in all; each but the last dies of one candidate

Progress = Callable[[int, int, object], None]  # how many layers are done, of how many, what is tried now


class CannotProve(MixprecError):
    """An engine whose layers mixprec cannot try."""

    def __init__(self, engine: str) -> None:
        super().__init__(engine)
        self.engine = engine

    def __str__(self) -> str:
        return f"wanted the kernels of {self.engine} tried; mixprec tries layers of {', '.join(TRIALS)}"


def prove(
    workload: Workload,
    *,
    python: str,
    engine: str,
    limits: Limits,
    progress: Progress | None = None,
    choices: Sequence[KernelChoice] = (),
) -> tuple[KernelChoice, ...]:
    """A choice for each layer of the workload, each with what came of trying its candidates in ``python``.

    ``choices`` are those that were read of the same layers; a proof overrides what reading said of a candidate. A
    layer for which the time did not suffice, and every layer when not even the engine's surroundings could be made,
    keeps what was read, or is undecided and says why. Raises CannotProve for an engine whose layers nobody can try, and
    CannotProbe when no process could be started.
    """
    if engine not in TRIALS:
        raise CannotProve(engine)
    hearing = Hearing(workload.layers)
    until = time.monotonic() + limits.total
    scratch = Path(tempfile.mkdtemp(prefix="mixprec-trials-"))
    try:
        for _ in range(FEW):
            left = until - time.monotonic()
            if not hearing.waiting or left <= 0 or not workload.layers:
                break
            answer = _ask(
                workload, hearing, engine, python=python, limits=replace(limits, total=left), scratch=scratch,
                progress=progress,
            )  # fmt: skip
            if answer.worked:
                break
            if not hearing.ready:
                hearing.abandon(_words(answer))
                break
            if time.monotonic() < until:  # else it was ended for that, and nothing speaks against its candidate
                hearing.died(_death(answer, limits))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return tuple(
        merge(layer, heard, engine=engine, dtype=workload.dtype, read=_read_for(layer, choices))
        for layer, heard in zip(workload.layers, hearing.layers, strict=True)
    )


def _ask(
    workload: Workload,
    hearing: Hearing,
    engine: str,
    *,
    python: str,
    limits: Limits,
    scratch: Path,
    progress: Progress | None,
) -> Probe:
    """One child for the layers that have no verdict yet."""
    hearing.begin()
    request = ProbeRequest(
        kind=Kind.CALL,
        engine=engine,
        module=TRIALS[engine],
        name="work",
        arguments={"layers": hearing.requests(), "dtype": workload.dtype, "scratch": str(scratch)},
        packages=_packages(),
    )

    def heard(_: ProbeRequest, part: Mapping[str, Any]) -> None:
        hearing.hear(part)
        if progress is not None:
            progress(hearing.finished, len(workload.layers), hearing.now)

    (answer,) = probe([request], python=python, limits=limits, heard=heard)
    return answer


def _packages() -> dict[str, str]:
    import mixprec_doctor
    import mixprec_runtime

    return {name: str(Path(str(package.__file__)).parent) for name, package in (
        ("mixprec_doctor", mixprec_doctor), ("mixprec_runtime", mixprec_runtime),
    )}  # fmt: skip


def _death(answer: Probe, limits: Limits) -> str:
    """How a child ended, as the fault of the candidate that it tried."""
    if answer.outcome is Outcome.TIMEOUT:
        return f"did not end within {limits.each:.0f} s"
    if answer.outcome is Outcome.OUT_OF_MEMORY:
        return "took more memory than there is"
    if answer.outcome is Outcome.SIGNAL:
        where = f" in {answer.stack[-1].function}" if answer.stack else ""
        return f"ended the process with {answer.signal}{where}"
    if answer.outcome is Outcome.EXITED:
        return f"ended the process with code {answer.exit_code}"
    return str(answer.fault.root) if answer.fault else answer.detail or answer.outcome.value


def _words(answer: Probe) -> str:
    """Why not even the engine's surroundings could be made, with the last place that was reached."""
    if answer.fault is not None:
        frames = answer.fault.root.frames[-1:]
        return f"{answer.fault}" + "".join(f" ({frame})" for frame in frames)
    said = f"{answer.outcome.value} {answer.signal or ''}".strip()
    last = answer.stderr.last_lines[-1:] if answer.stderr else ()
    return ": ".join([said, *([answer.detail] if answer.detail else []), *last])


def _read_for(layer: WorkloadLayer, choices: Sequence[KernelChoice]) -> KernelChoice | None:
    same = [each for each in choices if (each.format, each.shape) == (layer.format, layer.shape)]
    return next((each for each in same if each.source == layer.source), same[0] if same else None)
