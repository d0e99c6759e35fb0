"""Writes docs/reference/check-findings.md from the explanations; tests/doctor/test_check_findings_page.py keeps it so."""

from __future__ import annotations

__all__ = ["PAGE"]

from pathlib import Path

from mixprec_doctor.reports.checks.rules import PAGE_HEAD, RULES
from mixprec_doctor.reports.explanations import findings_page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "check-findings.md"

if __name__ == "__main__":
    PAGE.write_text(findings_page(RULES, head=PAGE_HEAD), encoding="utf-8")
