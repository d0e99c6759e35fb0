"""Rules: the explanations of all that `mixprec check` can find, in the order of their codes."""

from __future__ import annotations

__all__ = ["PAGE_HEAD", "RULES"]

from mixprec_doctor.codecheck.explanations import EXPLANATIONS
from mixprec_doctor.project.explanations import PROJECT_EXPLANATIONS
from mixprec_doctor.records.explanation import Explanation

RULES: tuple[Explanation, ...] = (*EXPLANATIONS, *PROJECT_EXPLANATIONS)

PAGE_HEAD = """# Findings in your own code

One entry for each code that `mixprec check` can report; `mixprec explain CODE` shows the same text. A code is never
renumbered and never reused. This page is written by `python tests/doctor/write_check_findings_page.py`, and a test
keeps it in step.
"""
