"""A report as workflow commands of GitHub Actions: each finding becomes an annotation."""

from __future__ import annotations

__all__ = ["render"]

from pathlib import Path

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.report import Report
from mixprec_doctor.reports.page import Page
from mixprec_doctor.reports.places import Place, place_of

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render(report: Report, page: Page, *, strict: bool = False) -> str:
    """One ``::error``, ``::warning`` or ``::notice`` line for each finding, at the line of code that it is about."""
    return "".join(f"{_annotation(finding)}\n" for finding in report.findings)


def _annotation(finding: Finding) -> str:
    properties = {}
    places = [place for each in finding.evidence if (place := place_of(each)) and place.code]
    if places and (path := _in_repository(places[0])):
        properties["file"] = path
        if places[0].line:
            properties["line"] = str(places[0].line)
    properties["title"] = f"{finding.code} {finding.summary}"
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{_COMMANDS[finding.severity]} {written}::{_data(_message(finding))}"


def _in_repository(place: Place) -> str | None:
    """As GitHub wants it: relative to the folder that the workflow runs in."""
    return place.below(Path.cwd())


def _message(finding: Finding) -> str:
    lines = [finding.summary, *([finding.cause] if finding.cause else []), *(f"- {each}" for each in finding.evidence)]
    if finding.follows:
        lines.append(f"follows from {finding.follows}")
    if finding.remedy:
        lines += [f"→ {finding.remedy.text}", *(f"  {command}" for command in finding.remedy.commands)]
    return "\n".join(lines)


def _data(text: str) -> str:
    """Escaped as the runner's own toolkit does it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
