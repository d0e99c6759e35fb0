"""A report of `mixprec check` as the ``mixprec.check/1`` document."""

from __future__ import annotations

__all__ = ["render"]

import json

from mixprec_doctor.records.codefinding import CodeReport
from mixprec_doctor.reports.page import Page


def render(report: CodeReport, page: Page, *, strict: bool = False) -> str:
    """The report as JSON."""
    return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
