"""A report of `mixprec check` for people: file by file, the code underlined, then releases and a verdict."""

from __future__ import annotations

__all__ = ["render", "verdict"]

from collections.abc import Iterator, Sequence
from itertools import groupby

from mixprec_doctor.records.codefinding import Checked, CodeFinding, CodeReport, WorkingRange
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.reports.checks.releases import held_against, where_it_holds
from mixprec_doctor.reports.checks.snippets import snippet
from mixprec_doctor.reports.page import Page
from mixprec_doctor.reports.text import MARKS

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
_MOST_EVIDENCE = 8


def render(report: CodeReport, page: Page, *, strict: bool = False) -> str:
    """The report as text."""
    lines: list[str] = []
    for _, group in groupby(report.findings, key=lambda each: each.place.file):
        for found in group:
            lines += [*_finding(found, report.checked, page), ""]
    for file, fault in report.unread:
        lines += [page.paint(file, "bold"), *_marked("!", "not read:", fault, "yellow", page), ""]
    if any(len(each.versions) > 1 for each in report.checked):
        lines += [*_table(report, page), *_ranges(report.ranges, page)]
    lines.append(_verdict_line(report, page))
    if certain := sum(each.repair is not None and each.repair.certain for each in report.findings):
        these = "1 of these is" if certain == 1 else f"{certain} of these are"
        lines.append(f"  {these} mended by --fix; --diff shows how")
    return "\n".join(lines) + "\n"


def verdict(report: CodeReport) -> str:
    """The report in one line."""
    files = f"{report.files} file{'' if report.files == 1 else 's'}"
    against = held_against(report.checked)
    if not report.files:
        return "no Python file was found to check"
    if not report.checked and report.unheld:
        missing = f"no {' or '.join(report.unheld)} was found"
        return f"{missing} to hold {files} against; name an environment (--python) or a release (--against)"
    counts = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for severity, word in ((Severity.ERROR, "error"), (Severity.WARNING, "warning"), (Severity.INFO, "note"))
        if (count := sum(each.finding.severity is severity for each in report.findings))
    ]
    found = f"{', '.join(counts)} in {files}" if counts else f"nothing found in {files}"
    ignored = f", {report.suppressed} ignored by comments" if report.suppressed else ""
    if not report.checked:
        return f"{found}{ignored}; none names a package that is looked at"
    unheld = f"; not against {' and '.join(report.unheld)}, which the code names too" if report.unheld else ""
    return f"{found}{ignored}, against {against}{unheld}"


def _verdict_line(report: CodeReport, page: Page) -> str:
    severities = {each.finding.severity for each in report.findings}
    mark, style = "✓", "green"
    if Severity.WARNING in severities or not report.files or (report.unheld and not report.checked):
        mark, style = "!", "yellow"
    if Severity.ERROR in severities:
        mark, style = "✗", "red"
    return f"{page.paint(mark, style)} {verdict(report)} ({report.seconds:.2f} s)"


def _finding(found: CodeFinding, checked: Sequence[Checked], page: Page) -> Iterator[str]:
    finding, place = found.finding, found.place
    yield page.paint(str(place), "bold")
    yield from _marked(MARKS[finding.severity], finding.code, finding.summary, _STYLES[finding.severity], page)
    yield from _code(found, page)
    if finding.cause:
        yield from page.wrap(finding.cause, indent=4)
    for each in finding.evidence[:_MOST_EVIDENCE]:
        yield from page.wrap(f"- {each}", indent=6, first=4)
    if (more := len(finding.evidence) - _MOST_EVIDENCE) > 0:
        yield f"    - and {more} more (--format json has all)"
    if releases := where_it_holds(found, checked):
        yield from page.wrap(f"in {found.package} {releases}", indent=6, first=4)
    yield from _way_out(found, page)


def _way_out(found: CodeFinding, page: Page) -> Iterator[str]:
    """The remedy, and the repair where the remedy does not show it already."""
    repair, remedy = found.repair, found.finding.remedy
    written = " [--fix]" if repair and repair.certain else ""
    if repair and not (remedy and remedy.commands):
        if repair.kind == "ladder":
            yield from page.wrap("→ in place of the whole ladder:", indent=6, first=4)
            yield from (f"      {line}".rstrip() for line in repair.new.splitlines())
        else:
            new = f"{repair.new}=, not {repair.old}=" if repair.kind == "keyword" else repair.new
            yield from page.wrap(f"→ {new}{written}", indent=6, first=4)
            written = ""
    if remedy:
        yield from page.wrap(f"→ {remedy.text}{written}", indent=6, first=4)
        yield from (f"      {command}" for command in remedy.commands)


def _code(found: CodeFinding, page: Page) -> Iterator[str]:
    if not found.source.strip():
        return
    place = found.place
    bar = page.paint("|", "dim")
    number = str(place.line)
    gap = " " * len(number)
    end = place.end_column if place.end_line == place.line else None
    code, carets = snippet(found.source, place.column, end, width=page.width - len(number) - 7)
    more = page.paint(" …", "dim") if end is None else ""
    yield f"    {page.paint(number, 'dim')} {bar} {code}".rstrip()
    marks = carets.lstrip()
    indent = carets[: len(carets) - len(marks)]
    yield f"    {gap} {bar} {indent}{page.paint(marks, _STYLES[found.finding.severity])}{more}"


def _marked(mark: str, word: str, text: str, style: str, page: Page) -> Iterator[str]:
    """A coloured mark, a word in bold, and text that goes on below the word."""
    lead = f"  {mark} {word} "
    lines = page.wrap(text, indent=4, first=len(lead))
    yield f"  {page.paint(mark, style)} {page.paint(word, 'bold')} {lines[0].strip()}"
    yield from lines[1:]


def _table(report: CodeReport, page: Page) -> Iterator[str]:
    """Errors and the releases in which each holds, side by side."""
    rows = [
        (str(each.place), each.finding.code, each.package, where_it_holds(each, report.checked) or "")
        for each in report.findings
        if each.finding.severity is Severity.ERROR and each.releases
    ]
    if not rows:
        return
    yield page.paint("Errors by release", "bold")
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        yield f"  {'  '.join([*cells, row[3]])}".rstrip()
    yield ""


def _ranges(ranges: Sequence[WorkingRange], page: Page) -> Iterator[str]:
    """The lines for ``pyproject.toml``."""
    if not ranges:
        return
    yield page.paint("Works with", "bold")
    for each in ranges:
        if each.requirement is None:
            yield f"  {page.paint('✗', 'red')} no release of {each.distribution} that was looked at"
            continue
        count = f"{len(each.versions)} release{'' if len(each.versions) == 1 else 's'}"
        mark = page.paint("✓", "green")
        yield f'  {mark} "{each.requirement}"  ({count})'
    yield ""
