"""A report of `mixprec check` as workflow commands of GitHub Actions: an annotation at each place."""

from __future__ import annotations

__all__ = ["render"]

from collections.abc import Sequence
from pathlib import Path

from mixprec_doctor.records.codefinding import Checked, CodeFinding, CodeReport
from mixprec_doctor.reports.checks.releases import where_it_holds
from mixprec_doctor.reports.github import COMMANDS, annotation, message_of
from mixprec_doctor.reports.page import Page
from mixprec_doctor.reports.places import Place as FilePlace


def render(report: CodeReport, page: Page, *, strict: bool = False) -> str:
    """One ``::error``, ``::warning`` or ``::notice`` line for each finding, and a warning for each file not read."""
    lines = [_annotation(each, report.checked) for each in report.findings]
    lines += [
        annotation("warning", {"file": _inside(file), "title": "not read"}, f"{file} was not read: {fault}")
        for file, fault in report.unread
    ]
    return "".join(f"{line}\n" for line in lines)


def _annotation(found: CodeFinding, checked: Sequence[Checked]) -> str:
    place = found.place
    properties = {"file": _inside(place.file)}
    if place.cell is None:  # lines of a cell are no lines of the notebook's file
        properties |= {"line": str(place.line), "endLine": str(place.end_line)}
        if place.line == place.end_line:  # the runner takes columns for one line only
            properties |= {"col": str(place.column), "endColumn": str(place.end_column)}
    properties["title"] = f"{found.finding.code} {found.finding.summary}"
    message = message_of(found.finding)
    if releases := where_it_holds(found, checked):
        message += f"\nin {found.package} {releases}"
    if found.repair:
        message += f"\n{found.repair.old} -> {found.repair.new}"
    if place.cell is not None:
        message = f"cell {place.cell}, line {place.line}: {message}"
    return annotation(COMMANDS[found.finding.severity], properties, message)


def _inside(file: str) -> str:
    return FilePlace(path=file).below(Path.cwd()) or file
