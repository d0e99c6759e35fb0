"""Mending: repairs that are certain, written into somebody's code; whatever else stands there stays as it is."""

from __future__ import annotations

__all__ = ["LeftAlone", "Mended", "Mending", "MissingFixer", "diff_of", "plan_mending", "write_mending"]

from mixprec_doctor.mending.plan import LeftAlone, Mended, Mending, MissingFixer, plan_mending
from mixprec_doctor.mending.writing import diff_of, write_mending
