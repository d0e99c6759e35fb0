"""Writes docs/reference/findings.md from the checks; tests/doctor/test_findings_page.py keeps it so."""

from __future__ import annotations

__all__ = ["PAGE"]

from pathlib import Path

from mixprec_doctor.checks import CHECKS
from mixprec_doctor.reports.explanations import findings_page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "findings.md"

if __name__ == "__main__":
    PAGE.write_text(findings_page(CHECKS), encoding="utf-8")
