"""A report as JUnit XML: one test case for each check, failed where it found something grave."""

from __future__ import annotations

__all__ = ["render"]

import re
from xml.etree import ElementTree as Tree

from mixprec_doctor.checks import CHECKS, Check
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.report import Report
from mixprec_doctor.reports.page import Page

# What XML 1.0 has no characters for.
_IMPOSSIBLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RANGES = {
    "MP1": "environment", "MP2": "imports", "MP3": "constructors", "MP4": "binaries", "MP5": "machine",
    "MP6": "plans", "MP7": "launch", "MP8": "code",
}  # fmt: skip


def render(report: Report, page: Page, *, strict: bool = False) -> str:
    """The report as one test suite; with ``strict`` warnings fail too."""
    grave = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    cases = [
        _case(check, [each for each in report.findings if each.code == check.code], grave)
        for check in CHECKS
        if report.checks is None or check.code in report.checks
    ]
    failed = sum(case.find("failure") is not None for case in cases)
    counts = {"name": "mixprec doctor", "tests": str(len(cases)), "failures": str(failed), "errors": "0"}
    root = Tree.Element("testsuites", {**counts, "time": f"{report.seconds:.3f}"})
    suite = Tree.SubElement(root, "testsuite", {**counts, "skipped": "0", "time": f"{report.seconds:.3f}"})
    suite.extend(cases)
    Tree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Tree.tostring(root, encoding="unicode")}\n'


def _case(check: Check, findings: list[Finding], grave: set[Severity]) -> Tree.Element:
    case = Tree.Element("testcase", {
        "classname": f"mixprec.doctor.{_RANGES.get(check.code[:3], 'other')}",
        "name": _clean(f"{check.code} {check.title}"),
        "time": "0",
    })  # fmt: skip
    failing = [each for each in findings if each.severity in grave]
    if failing:
        summary = "; ".join(each.summary for each in failing)
        failure = Tree.SubElement(case, "failure", {"message": _clean(summary), "type": failing[0].severity.value})
        failure.text = _clean("\n\n".join(map(_words, failing)))
    others = [each for each in findings if each.severity not in grave]
    if others:
        Tree.SubElement(case, "system-out").text = _clean("\n\n".join(map(_words, others)))
    return case


def _words(finding: Finding) -> str:
    lines = [f"{finding.severity.value}: {finding.summary}", finding.cause]
    lines += [f"- {each}" for each in finding.evidence]
    if finding.follows:
        lines.append(f"follows from {finding.follows}")
    if finding.remedy:
        lines += [f"→ {finding.remedy.text}", *(f"  {command}" for command in finding.remedy.commands)]
    return "\n".join(line for line in lines if line)


def _clean(text: str) -> str:
    return _IMPOSSIBLE.sub("\ufffd", text)
