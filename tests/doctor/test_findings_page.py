"""The reference has one entry for each code, with an example and a cure."""

from __future__ import annotations

import pytest

from mixprec_doctor.checks import CHECKS, Check
from mixprec_doctor.reports.explanations import findings_page
from tests.doctor.write_findings_page import PAGE


def test_the_page_is_what_the_checks_say() -> None:
    message = "run python tests/doctor/write_findings_page.py"
    assert PAGE.read_text(encoding="utf-8") == findings_page(CHECKS), message


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_every_code_has_its_entry_with_example_and_cure(check: Check) -> None:
    entry = PAGE.read_text(encoding="utf-8").split(f"\n## {check.code}: ")[1].split("\n## ")[0]
    assert check.promise in entry
    assert f"**Example.** {check.example}" in entry
    assert f"**Cure.** {check.cure}" in entry
    assert all(len(text) > 20 for text in (check.promise, check.explanation, check.example, check.cure))
