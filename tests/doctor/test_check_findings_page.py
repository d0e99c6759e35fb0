"""The reference of `mixprec check` has one entry for each code, and `mixprec explain` knows it."""

from __future__ import annotations

import pytest

from mixprec_doctor.cli.explain import find_explanation
from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.reports.checks.rules import PAGE_HEAD, RULES
from mixprec_doctor.reports.explanations import findings_page
from tests.doctor.write_check_findings_page import PAGE


def test_the_page_is_what_the_explanations_say() -> None:
    message = "run python tests/doctor/write_check_findings_page.py"
    assert PAGE.read_text(encoding="utf-8") == findings_page(RULES, head=PAGE_HEAD), message


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_code_is_explained(rule: Explanation) -> None:
    assert find_explanation(rule.code.lower()) == rule
    assert rule.code.startswith("MP8")
    assert all(len(text) > 10 for text in (rule.promise, rule.explanation, rule.example, rule.cure))


def test_no_code_is_explained_twice() -> None:
    codes = [each.code for each in RULES]
    assert codes == sorted(set(codes))
