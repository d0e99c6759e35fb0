"""A report as SARIF 2.1.0, for GitHub code scanning, editors and other tools that show results."""

from __future__ import annotations

__all__ = ["LEVELS", "artifact_of", "message_of", "render", "rule_of", "sarif_document"]

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from mixprec_doctor.checks import CHECKS
from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.report import Report
from mixprec_doctor.reports.page import Page
from mixprec_doctor.reports.places import Place, place_of
from mixprec_doctor.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_HOME = "HOME"


def render(report: Report, page: Page, *, strict: bool = False) -> str:
    """The report as one run of one tool."""
    used = [check for check in CHECKS if report.checks is None or check.code in report.checks]
    rules = {check.code: index for index, check in enumerate(used)}
    results = [_result(finding, rules, report.target.site_paths) for finding in report.findings]
    exit_code = int(report.exit_code(strict=strict))
    return sarif_document("mixprec doctor", used, results, exit_code=exit_code, columns="utf16CodeUnits")


def sarif_document(
    tool: str,
    rules: Sequence[Explanation],
    results: Sequence[dict[str, object]],
    *,
    exit_code: int,
    columns: str,
    notes: Sequence[dict[str, object]] = (),
) -> str:
    """One run of one tool; ``columns`` says what columns count, ``notes`` are what the tool tells of its own run."""
    invocation: dict[str, object] = {"executionSuccessful": True, "exitCode": exit_code}
    if notes:
        invocation["toolExecutionNotifications"] = list(notes)
    run: dict[str, object] = {
        "tool": {
            "driver": {
                "name": tool,
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [rule_of(each) for each in rules],
            }
        },
        "invocations": [invocation],
        "columnKind": columns,
        "results": list(results),
    }
    if f'"{_HOME}"' in json.dumps(results):
        told = {"description": {"text": "The home folder of whoever ran mixprec."}}
        run["originalUriBaseIds"] = {_HOME: told}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def rule_of(check: Explanation) -> dict[str, object]:
    """A code as a rule, with its texts as help."""
    plain = f"{check.explanation}\n\nExample: {check.example}\n\nCure: {check.cure}"
    return {
        "id": check.code,
        "name": "".join(word.capitalize() for word in _words(check.title)),
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.promise},
        "help": {
            "text": plain,
            "markdown": f"{check.explanation}\n\n**Example.** {check.example}\n\n**Cure.** {check.cure}",
        },
    }


def _words(title: str) -> list[str]:
    return "".join(mark if mark.isalnum() else " " for mark in title).split()


def _result(finding: Finding, rules: dict[str, int], site_paths: Sequence[str]) -> dict[str, object]:
    remedy = finding.remedy
    result: dict[str, object] = {"ruleId": finding.code}
    if finding.code in rules:
        result["ruleIndex"] = rules[finding.code]
    result |= {
        "level": LEVELS[finding.severity],
        "message": {"text": message_of(finding)},
        "locations": _locations(finding.evidence, site_paths),
        "partialFingerprints": {"mixprecFinding/v1": _fingerprint(finding)},
        "properties": {
            "engine": finding.engine,
            "subjects": list(finding.subjects),
            "follows": finding.follows,
            "remedy": list(remedy.commands) if remedy else [],
        },
    }
    return result


def message_of(finding: Finding) -> str:
    """Summary, cause, evidence and remedy, each in a line of its own."""
    parts = (finding.summary, finding.cause, *finding.evidence, finding.remedy.text if finding.remedy else "")
    return "\n".join(part for part in parts if part)


def _locations(evidence: Sequence[str], site_paths: Sequence[str]) -> list[dict[str, object]]:
    """Where the evidence lies; else the environment itself, as code scanning refuses results that lie nowhere."""
    found = [place.in_one_of(site_paths) for each in evidence if (place := place_of(each))]
    places = dict.fromkeys(found or [Place(path=each) for each in site_paths[:1]])
    return [{"physicalLocation": _physical(place)} for place in places]


def _physical(place: Place) -> dict[str, object]:
    location: dict[str, object] = {"artifactLocation": artifact_of(place)}
    if place.line:
        location["region"] = {"startLine": place.line}
    return location


def artifact_of(place: Place) -> dict[str, object]:
    """Relative to the working directory, or to the home folder without telling where that is, or a file address."""
    if (inside := place.below(Path.cwd())) is not None:
        return {"uri": quote(inside)}
    if place.path.startswith("~/"):
        return {"uri": quote(place.path[2:]), "uriBaseId": _HOME}
    if place.path.startswith("/"):
        return {"uri": f"file://{quote(place.path)}"}
    return {"uri": quote(place.path)}


def _fingerprint(finding: Finding) -> str:
    """The same as long as the fault is the same: versions and counts are no part of it."""
    summary = "".join(mark for mark in finding.summary if not mark.isdigit())
    told = "\0".join((finding.code, finding.engine or "", *sorted(finding.subjects), summary))
    return hashlib.sha256(told.encode("utf-8", errors="replace")).hexdigest()[:32]
