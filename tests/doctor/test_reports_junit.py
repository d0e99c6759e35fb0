"""Reports as JUnit XML: well-formed whatever they hold, a case for each check."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as Tree

from hypothesis import given, settings
from hypothesis import strategies as st

from mixprec_doctor.checks import CHECKS
from mixprec_doctor.records.report import Report
from mixprec_doctor.redaction import Secrets
from mixprec_doctor.reports import render_report
from tests.doctor.reporting import CLASH, FOLLOWER, MOVED, NOTE, report_of


def suite(report: Report, *, strict: bool = False) -> Tree.Element:
    root = Tree.fromstring(render_report(report, "junit", strict=strict, secrets=Secrets()).encode())  # noqa: S314  ours
    assert root.tag == "testsuites"
    [one] = root
    assert one.tag == "testsuite"
    assert {child.tag for child in one} <= {"testcase"}
    assert {child.tag for case in one for child in case} <= {"failure", "system-out"}
    for each in (root, one):  # what readers of the format add up
        assert int(each.attrib["tests"]) == len(one)
        assert int(each.attrib["failures"]) == len(one.findall("testcase/failure"))
    return one


def named(one: Tree.Element, code: str) -> Tree.Element:
    [case] = [each for each in one if each.attrib["name"].startswith(f"{code} ")]
    return case


def test_every_check_that_was_asked_is_a_test_case() -> None:
    cases = list(suite(report_of()))
    assert [each.attrib["name"] for each in cases] == [f"{check.code} {check.title}" for check in CHECKS]
    assert [each.attrib["classname"] for each in suite(report_of(checks=("MP401",)))] == ["mixprec.doctor.binaries"]


def test_an_error_fails_its_case_and_says_what_to_type() -> None:
    failure = named(suite(report_of(CLASH, FOLLOWER)), "MP401").find("failure")
    assert failure is not None
    assert failure.attrib == {"message": CLASH.summary, "type": "error"}
    assert "python -m pip uninstall -y torchvision" in str(failure.text)


def test_a_warning_fails_only_a_strict_run() -> None:
    mild = named(suite(report_of(MOVED)), "MP203")
    assert mild.find("failure") is None
    assert MOVED.summary in str(mild.findtext("system-out"))
    assert named(suite(report_of(MOVED), strict=True), "MP203").find("failure") is not None


def test_a_note_never_fails() -> None:
    case = named(suite(report_of(NOTE), strict=True), "MP107")
    assert [child.tag for child in case] == ["system-out"]


@given(st.text())
@settings(deadline=None)
def test_any_text_leaves_it_well_formed(text: str) -> None:
    found = replace(CLASH, summary=text, cause=text, evidence=(text, f"\x1b[31m{text}\x00"))
    case = named(suite(report_of(found)), "MP401")
    assert "\x1b" not in str(case.findtext("failure"))
