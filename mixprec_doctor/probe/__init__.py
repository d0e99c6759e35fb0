"""Probes: what really happens in the examined environment, tried in a child process that may die in any way."""

from __future__ import annotations

__all__ = ["CannotProbe", "Limits", "probe", "usual_limits"]

from mixprec_doctor.probe.limits import Limits, usual_limits
from mixprec_doctor.probe.prober import CannotProbe, probe
