"""Rehearsal: what importing would do in an environment, statement by statement in Python's order, nothing being run."""

__all__ = ["SERVERS", "Rehearsal", "Stop", "StopKind", "Swallowed"]

from mixprec_doctor.rehearsal.rehearsal import Rehearsal
from mixprec_doctor.rehearsal.state import SERVERS
from mixprec_doctor.rehearsal.stop import Stop, StopKind, Swallowed
