"""Tried: failed probes in the words of findings."""

from __future__ import annotations

__all__ = ["evidence", "how_it_ended", "is_essential", "subjects"]

import re
from collections.abc import Iterator

from mixprec_doctor.checks.missing_roles import NEEDED
from mixprec_doctor.records.probe import Fault, Kind, Outcome, Probe, ProbeRequest
from mixprec_doctor.records.role import Role

_ESSENTIAL = frozenset(role.value for role in (*NEEDED, Role.LAUNCH_SERVER))
_MOST_FRAMES = 3
_COMPILED = re.compile(r"-packages/(?P<module>[^.]+)\.(?:[^/]*\.)?so$")
_MOST_WORDS = 400
_DEATHS = {"SIGSEGV": "a segmentation fault", "SIGABRT": "an abort", "SIGILL": "an illegal instruction",
           "SIGFPE": "an arithmetic fault", "SIGBUS": "a bus error"}  # fmt: skip


def is_essential(request: ProbeRequest) -> bool:
    """Whether an engine cannot serve without this: its own package, or what is needed for every model."""
    return (
        request.role in _ESSENTIAL if request.role else request.kind is Kind.IMPORT and request.module == request.engine
    )


def how_it_ended(probe: Probe) -> str:
    """The outcome in a few words, to go on after what was tried."""
    if probe.fault is not None and probe.outcome is Outcome.RAISED:
        return _words(probe.fault)
    if probe.outcome is Outcome.SIGNAL:
        known = _DEATHS.get(probe.signal or "")
        return f"the process died of {f'{known} ({probe.signal})' if known else probe.signal}"
    if probe.outcome is Outcome.EXITED:
        return f"the process ended itself with code {probe.exit_code}"
    if probe.outcome is Outcome.TIMEOUT:
        return f"no end after {probe.seconds:.0f} s"
    if probe.outcome is Outcome.OUT_OF_MEMORY:
        peak = f" ({probe.peak_bytes / 2**30:.1f} GiB)" if probe.peak_bytes else ""
        return f"out of memory{peak}"
    return probe.detail or probe.outcome.value


def evidence(probe: Probe) -> Iterator[str]:
    """Where it happened: the exception that started it, the last lines of its traceback or of the crashed stack."""
    if probe.fault is not None:
        *_, root = chain = probe.fault.chain
        yield from (f"goes back to {_words(each)}" for each in chain[1:])
        where = next((each for each in reversed(chain) if each.frames), root)
        yield from (f"at {frame}" for frame in where.frames[-_MOST_FRAMES:])
        return
    yield from (f"at {frame}" for frame in probe.stack[-_MOST_FRAMES:])
    if probe.detail and probe.detail != how_it_ended(probe):
        yield probe.detail
    if not probe.stack and probe.stderr is not None:
        yield from (f"it wrote: {line[:_MOST_WORDS]}" for line in probe.stderr.last_lines[-_MOST_FRAMES:])


def subjects(probe: Probe) -> tuple[str, ...]:
    """The import names that it is about: those that the exceptions name, else what was to be imported."""
    named = [name for each in probe.fault.chain if (name := _about(each))] if probe.fault else []
    asked = [probe.request.module] if probe.request.module and probe.request.kind is Kind.IMPORT else []
    return tuple(dict.fromkeys([*reversed(named)] or asked))


def _about(fault: Fault) -> str | None:
    """The module that an ImportError is about; of a compiled one it names the last part only."""
    found = _COMPILED.search(fault.path or "")
    if found and fault.about and "." not in fault.about:
        return found["module"].replace("/", ".")
    return fault.about


def _words(fault: Fault) -> str:
    words = " ".join(str(fault).split())
    return words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]} ..."
