"""Verifying: kernels proved in the doctor's child before an engine starts; no tensor framework is imported here."""

from __future__ import annotations

__all__ = ["CannotProve", "prove", "standard_workload"]

from mixprec_runtime.verifying.prove import CannotProve, prove
from mixprec_runtime.verifying.standard import standard_workload
