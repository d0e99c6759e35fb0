"""The prober: tries every request, starts a new child for the rest after each death, and records all of them."""

from __future__ import annotations

__all__ = ["CannotProbe", "Heard", "Progress", "probe"]

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.probe.answers import read_answer, read_death, read_end
from mixprec_doctor.probe.limits import Limits
from mixprec_doctor.probe.run import run
from mixprec_doctor.records.probe import Kind, Outcome, Probe, ProbeRequest

Progress = Callable[[int, int, ProbeRequest], None]  # how many are done, of how many, the one that is tried now
Heard = Callable[[ProbeRequest, Any], None]  # what a called generator has just yielded


class CannotProbe(MixprecError):
    """Nothing could be tried, because no process could be started for it."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, python: str, fault: str) -> None:
        super().__init__(python, fault)
        self.python = python
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.python} could not be tried: {self.fault}\n  try: mixprec doctor without --verify"


def probe(
    requests: Iterable[ProbeRequest],
    *,
    python: str,
    limits: Limits,
    progress: Progress | None = None,
    heard: Heard | None = None,
) -> tuple[Probe, ...]:
    """What came of each request, in their order, tried by the interpreter ``python`` in processes of its own.

    All share a child until one dies. What lies in a module whose import failed is not tried, and what fails only
    after such an import, for another reason, is tried again in a new child. What a called generator yields is kept
    whatever comes after it; the time for one request begins anew with each.
    """
    wanted = tuple(requests)
    done: dict[int, Probe] = {}
    until = time.monotonic() + limits.total
    while len(done) < len(wanted):
        _skip(wanted, done, late=time.monotonic() >= until)
        left = [(number, each) for number, each in enumerate(wanted) if number not in done]
        if left:
            _run(left, done, python=python, limits=limits, until=until, progress=progress, heard=heard)
    return tuple(done[number] for number in range(len(wanted)))


def _skip(wanted: Sequence[ProbeRequest], done: dict[int, Probe], *, late: bool) -> None:
    """Record as skipped what need not or cannot be tried any more."""
    failed = {
        (each.request.engine, each.request.module or "")
        for each in done.values()
        if each.request.kind is Kind.IMPORT and each.failed
    }
    for number, request in enumerate(wanted):
        if number in done:
            continue
        module = request.module or ""
        cause = next(
            (name for engine, name in failed if engine == request.engine and f"{module}.".startswith(f"{name}.")), None
        )
        if cause is not None:
            done[number] = Probe(request=request, outcome=Outcome.SKIPPED, detail=f"{cause} cannot be imported")
        elif late:
            done[number] = Probe(request=request, outcome=Outcome.SKIPPED, detail="the time for all was used up")


def _run(
    left: Sequence[tuple[int, ProbeRequest]],
    done: dict[int, Probe],
    *,
    python: str,
    limits: Limits,
    until: float,
    progress: Progress | None,
    heard: Heard | None,
) -> None:
    """One child. It answers some of the requests; the one that it died of is answered for it."""
    requests = dict(left)
    total = len(done) + len(left)
    current, begun, started, answered = left[0][0], time.monotonic(), False, False
    parts: list[Any] = []
    for event in run(left, python=python, limits=limits, total=max(1.0, until - begun)):
        if "begin" in event:
            current, begun, started, answered = event["begin"], time.monotonic(), True, False
            parts = []
            if progress is not None:
                progress(len(done), total, requests[current])
        elif "part" in event:
            parts.append(event["part"])
            if heard is not None:
                heard(requests[event["of"]], event["part"])
        elif "number" in event:
            answered = True
            answer = replace(read_answer(requests[event["number"]], event), parts=tuple(parts))
            known = {str(each.fault.root) for each in done.values() if each.fault}
            if not (event["tainted"] and answer.fault and str(answer.fault.root) not in known):
                done[event["number"]] = answer
        elif "end" in event:
            end, seconds = event["end"], time.monotonic() - begun
            if "fault" in end:
                raise CannotProbe(python, str(end["fault"]))
            if not answered:
                done[current] = replace(read_death(requests[current], end, seconds=seconds), parts=tuple(parts))
            elif current in done:
                done[current] = read_end(done[current], end)
            if not started:
                _give_up(requests, done)


def _give_up(requests: dict[int, ProbeRequest], done: dict[int, Probe]) -> None:
    """Nothing was even begun, so another child would get no further."""
    for number, request in requests.items():
        if number not in done:
            done[number] = Probe(request=request, outcome=Outcome.SKIPPED, detail="Python itself does not start")
