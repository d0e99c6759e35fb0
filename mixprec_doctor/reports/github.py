"""A report as workflow commands of GitHub Actions: each finding becomes an annotation."""

from __future__ import annotations

__all__ = ["COMMANDS", "annotation", "message_of", "render"]

from collections.abc import Mapping, Sequence
from pathlib import Path

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.report import Report
from mixprec_doctor.reports.page import Page
from mixprec_doctor.reports.places import place_of

COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_MOST_EVIDENCE = 8  # an annotation is a small box


def render(report: Report, page: Page, *, strict: bool = False) -> str:
    """One ``::error``, ``::warning`` or ``::notice`` line for each finding, at the line of code that it is about."""
    return "".join(f"{_annotation(finding, report.target.site_paths)}\n" for finding in report.findings)


def _annotation(finding: Finding, site_paths: Sequence[str]) -> str:
    properties = {}
    places = [place.in_one_of(site_paths) for each in finding.evidence if (place := place_of(each))]
    inside = [(path, place.line) for place in places if place.line and (path := place.below(Path.cwd()))]
    if inside:
        properties["file"], properties["line"] = inside[0][0], str(inside[0][1])
    properties["title"] = f"{finding.code} {finding.summary}"
    return annotation(COMMANDS[finding.severity], properties, message_of(finding))


def annotation(command: str, properties: Mapping[str, str], message: str) -> str:
    """One workflow command, escaped."""
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{command} {written}::{_data(message)}"


def message_of(finding: Finding) -> str:
    """All that a finding says, in lines."""
    lines = [finding.summary, *([finding.cause] if finding.cause else [])]
    lines += [f"- {each}" for each in finding.evidence[:_MOST_EVIDENCE]]
    if (more := len(finding.evidence) - _MOST_EVIDENCE) > 0:
        lines.append(f"- and {more} more (--format json has all)")
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
