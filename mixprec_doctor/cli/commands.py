"""The doctor's commands as data: name, place and the line that help shows."""

from __future__ import annotations

__all__ = ["DOCTOR_COMMANDS"]

from mixprec_doctor.cli.lazy import CommandEntry

DOCTOR_COMMANDS: dict[str, CommandEntry] = {
    "doctor": CommandEntry(
        target="mixprec_doctor.cli.doctor:doctor",
        help="Say what is installed, where the engines' names live, what is broken and how to mend it.",
    ),
    "resolve": CommandEntry(
        target="mixprec_doctor.cli.resolve:resolve",
        help="Say where a name or role lives in an engine and how it is called, without importing it.",
    ),
    "matrix": CommandEntry(
        target="mixprec_doctor.cli.matrix:matrix",
        help="Show where every role lives in many releases at once, and what changed from each to the next.",
    ),
    "check": CommandEntry(
        target="mixprec_doctor.cli.check:check",
        help="Say which imports and calls of your own code a release does not have, and mend them.",
    ),
    "explain": CommandEntry(
        target="mixprec_doctor.cli.explain:explain",
        help="Explain a finding's code, or what a traceback or log shows and what to do about it.",
    ),
}
