"""A report to paste into an issue."""

from __future__ import annotations

__all__ = ["render"]

from collections.abc import Iterator

from mixprec_doctor.records.finding import Finding
from mixprec_doctor.records.report import Report
from mixprec_doctor.records.resolution import Status
from mixprec_doctor.reports.kernels import kernel_rows
from mixprec_doctor.reports.page import Page
from mixprec_doctor.reports.text import MARKS, verdict
from mixprec_doctor.version import __version__


def render(report: Report, page: Page, *, strict: bool = False) -> str:
    """The report as Markdown."""
    interpreter = report.target.interpreter
    machine = report.machine
    lines = [
        f"### mixprec doctor {__version__}",
        "",
        f"**{_escape(verdict(report))}**",
        "",
        "| | |",
        "|---|---|",
        f"| Python | {interpreter.version or 'unknown'} ({interpreter.platform or 'platform unknown'}) |",
        f"| CPU | {_escape(machine.cpu or 'unknown')}, {machine.cores or '?'} cores |",
        f"| GPU | {_escape(', '.join(gpu.name for gpu in machine.accelerators or ()) or 'none')} |",
    ]
    for status in report.engines:
        engine = status.engine
        lines.append(f"| {engine.engine} | {engine.version or 'unknown'} (from {engine.distribution}) |")
    for name in dict.fromkeys(role.engine for role in report.roles):
        roles = [role for role in report.roles if role.engine == name]
        found = sum(role.status is Status.FOUND for role in roles)
        lines.append(f"| names in {name} | {found} of {len(roles)} found |")
    lines += _kernels(report)
    for finding in report.findings:
        lines += ["", *_finding(finding)]
    return "\n".join(lines) + "\n"


def _kernels(report: Report) -> Iterator[str]:
    rows = list(kernel_rows(report.kernels))
    if rows:
        yield from ("", "| engine | format | layers | kernel | |", "|---|---|---|---|---|")
    for row in rows:
        yield f"| {' | '.join(_escape(cell) for cell in row)} |"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"#### {MARKS[finding.severity]} {finding.code}: {_escape(finding.summary)}"
    if finding.follows:
        yield f"\nFollows from {finding.follows}."
    if finding.cause:
        yield f"\n{_escape(finding.cause)}"
    if finding.evidence:
        yield ""
        yield from (f"- `{each.replace('`', chr(39))}`" for each in finding.evidence)
    if finding.remedy:
        yield f"\n**Remedy:** {_escape(finding.remedy.text)}"
        if finding.remedy.commands:
            yield "\n```bash"
            yield from finding.remedy.commands
            yield "```"


def _escape(text: str) -> str:
    for mark in ("\\", "|", "*", "_", "<"):
        text = text.replace(mark, f"\\{mark}")
    return text
