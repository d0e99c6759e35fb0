"""Writes docs/reference/plan-findings.md from the explanations; tests/runtime/test_explanations.py keeps it so."""

from __future__ import annotations

__all__ = ["PAGE"]

from pathlib import Path

from mixprec_doctor.reports.explanations import findings_page
from mixprec_runtime.explanations import EXPLANATIONS, PAGE_HEAD

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "plan-findings.md"

if __name__ == "__main__":
    PAGE.write_text(findings_page(EXPLANATIONS, head=PAGE_HEAD), encoding="utf-8")
