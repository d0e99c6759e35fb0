"""Tracebacks: what a pasted log says went wrong, read as text; nothing in it is run."""

from __future__ import annotations

__all__ = ["Log", "Root", "known_faults", "question_of", "read_log", "root_of"]

from mixprec_doctor.tracebacks.known import known_faults
from mixprec_doctor.tracebacks.log import Log, read_log
from mixprec_doctor.tracebacks.questions import question_of
from mixprec_doctor.tracebacks.roots import Root, root_of
