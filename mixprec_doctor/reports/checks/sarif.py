"""A report of `mixprec check` as SARIF 2.1.0: each finding at its line and columns."""

from __future__ import annotations

__all__ = ["render"]

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from mixprec_doctor.records.codefinding import Checked, CodeFinding, CodeReport, Place
from mixprec_doctor.reports.checks.releases import where_it_holds
from mixprec_doctor.reports.checks.rules import RULES
from mixprec_doctor.reports.page import Page
from mixprec_doctor.reports.places import Place as FilePlace
from mixprec_doctor.reports.sarif import LEVELS, artifact_of, message_of, sarif_document


def render(report: CodeReport, page: Page, *, strict: bool = False) -> str:
    """The report as one run of one tool; files that could not be read are notifications."""
    rules = {each.code: index for index, each in enumerate(RULES)}
    alike: Counter[str] = Counter()
    results = [_result(found, rules, report.checked, alike) for found in report.findings]
    notes: list[dict[str, object]] = [
        {
            "level": "warning",
            "message": {"text": f"not read: {fault}"},
            "locations": [{"physicalLocation": {"artifactLocation": artifact_of(FilePlace(path=file))}}],
        }
        for file, fault in report.unread
    ]
    exit_code = int(report.exit_code(strict=strict))
    return sarif_document(
        "mixprec check", RULES, results, exit_code=exit_code, columns="unicodeCodePoints", notes=notes
    )


def _result(
    found: CodeFinding, rules: Mapping[str, int], checked: Sequence[Checked], alike: Counter[str]
) -> dict[str, object]:
    finding = found.finding
    releases = where_it_holds(found, checked)
    result: dict[str, object] = {"ruleId": finding.code}
    if finding.code in rules:
        result["ruleIndex"] = rules[finding.code]
    return result | {
        "level": LEVELS[finding.severity],
        "message": {"text": message_of(finding) + (f"\nin {found.package} {releases}" if releases else "")},
        "locations": [_location(found.place)],
        "partialFingerprints": {"mixprecCheck/v1": _fingerprint(found, alike)},
        "properties": {
            "package": found.package,
            "releases": list(found.releases),
            "subjects": list(finding.subjects),
            "repair": found.repair.to_json() if found.repair else None,
        },
    }


def _location(place: Place) -> dict[str, object]:
    physical: dict[str, object] = {"artifactLocation": artifact_of(FilePlace(path=place.file))}
    if place.cell is not None:  # its lines are no lines of the notebook's file
        named = {"name": f"cell {place.cell}, line {place.line}", "kind": "module"}
        return {"physicalLocation": physical, "logicalLocations": [named]}
    physical["region"] = {
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }
    return {"physicalLocation": physical}


def _fingerprint(found: CodeFinding, alike: Counter[str]) -> str:
    """The same as long as the line and its fault are: not where in the file it stands, nor in which releases."""
    told = "\0".join((found.finding.code, found.place.file, *sorted(found.finding.subjects), found.source.strip()))
    alike[told] += 1
    return hashlib.sha256(f"{told}\0{alike[told]}".encode(errors="replace")).hexdigest()[:32]
