"""Remedies, checked: whether what a finding says to install exists and fits the interpreter."""

__all__ = ["check_remedies"]

from mixprec_doctor.remedies.checking import check_remedies
