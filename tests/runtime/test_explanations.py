"""Every code that a plan can report is explained, once, and the reference page says the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mixprec_runtime
from mixprec_doctor.checks import CHECKS
from mixprec_doctor.reports.explanations import findings_page
from mixprec_runtime.explanations import EXPLANATIONS, PAGE_HEAD
from tests.runtime.write_plan_findings_page import PAGE

RUNTIME = Path(mixprec_runtime.__file__).parent


def test_the_page_is_what_the_explanations_say() -> None:
    message = "run python tests/runtime/write_plan_findings_page.py"
    assert PAGE.read_text(encoding="utf-8") == findings_page(EXPLANATIONS, head=PAGE_HEAD), message


def test_no_code_is_claimed_twice() -> None:
    codes = [entry.code for entry in (*CHECKS, *EXPLANATIONS)]
    assert len(codes) == len(set(codes))


def test_every_code_in_the_source_is_explained() -> None:
    used = {code for file in RUNTIME.rglob("*.py") for code in re.findall(r'"(MP\d{3})"', file.read_text("utf-8"))}
    assert used
    assert used <= {entry.code for entry in EXPLANATIONS}


@pytest.mark.parametrize("code", ["MP622", "mp622"])
def test_explain_finds_codes_of_the_runtime(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mixprec_runtime", "explain", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "a fused unit is split" in done.stdout
