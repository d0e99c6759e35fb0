"""Roots: of all that a log shows, the exception that the rest followed from."""

from __future__ import annotations

__all__ = ["Root", "root_of"]

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mixprec_doctor.records.traceback import Raised, Trace
from mixprec_doctor.tracebacks.known import known_faults
from mixprec_doctor.tracebacks.questions import question_of

# What is raised because something else went wrong before or elsewhere; the messages say so themselves.
_WRAPPERS = re.compile(
    "|".join((
        r"See (?:the )?(?:root cause|stack trace|error|log)s? (?:above|below|for)", r"root cause above",
        r"initialization failed due to", r"background (?:process|loop) (?:is not running|has errored|failed)",
        r"Engine core proc \S{0,80} ?died", r"EngineCore encountered", r"EngineDeadError", r"EngineGenerateError",
        r"Server process (?:died|exited)", r"server (?:process )?failed to start",
        r"child (?:process|scheduler)[^\n]{0,40}(?:died|failed|exited)", r"Please see the error messages above",
        r"scheduler (?:is dead|died)", r"ChildFailedError", r"ProcessExitedException", r"RayTaskError",
        r"WorkerCrashedError", r"Connection (?:reset|closed|aborted)", r"Broken pipe", r"closed by (?:remote )?peer",
        r"returned non-zero exit status", r"died with <Signals",
    )),
    re.IGNORECASE,
)  # fmt: skip
_AFTERMATH = frozenset({
    "KeyboardInterrupt", "SystemExit", "CancelledError", "BrokenPipeError", "ConnectionResetError", "EOFError",
    "BrokenProcessPool", "GeneratorExit",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Root:
    """The exception that matters, the trace it is of, and what the trace showed in the end."""

    raised: Raised
    trace: Trace

    @property
    def shown(self) -> Raised:
        """What the user saw: the last of the chain."""
        return self.trace.chain[-1]


def root_of(traces: Sequence[Trace]) -> Root | None:
    """The root of a log's traces; None without any.

    In a chain it is the earliest exception that says something that can be looked up, else the earliest. Of several
    traces, wrappers and what follows the end of a process count last; then the latest that can be looked up is taken,
    as what was survived stands before it.
    """
    roots = [Root(raised=_first_telling(trace.chain), trace=trace) for trace in traces]
    if not roots:
        return None
    best = max(enumerate(roots), key=lambda each: (not _wraps(each[1].raised), _tells(each[1].raised), each[0]))[1]
    # Raised again or told by several processes, it was raised where it was told first.
    return next(root for root in roots if str(root.raised) == str(best.raised))


def _first_telling(chain: Sequence[Raised]) -> Raised:
    own = [raised for raised in chain if not _wraps(raised)] or list(chain)
    return next((raised for raised in own if _tells(raised)), own[0])


def _wraps(raised: Raised) -> bool:
    return raised.name in _AFTERMATH or _WRAPPERS.search(str(raised)) is not None


def _tells(raised: Raised) -> bool:
    return question_of(raised) is not None or bool(known_faults(str(raised)))
