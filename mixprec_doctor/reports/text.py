"""A report for people: sections with marks, the remedy beneath each problem, one verdict at the end."""

from __future__ import annotations

__all__ = ["MARKS", "render", "render_finding", "verdict"]

from collections import Counter
from collections.abc import Iterator

from mixprec_doctor.records.codeanswer import CodeAnswer, CodeVerdict
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.report import EngineStatus, Report
from mixprec_doctor.records.resolution import Status
from mixprec_doctor.reports.kernels import kernel_text
from mixprec_doctor.reports.page import Page

MARKS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.INFO: "·"}
_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
_MOST_EVIDENCE = 8
_ANSWERS = {
    CodeVerdict.FAILS: ("it fails here", "✗", "red"),
    CodeVerdict.WORKS: ("it works here: it was run", "✓", "green"),
    CodeVerdict.UNKNOWN: (
        "reading finds no fault in it; only running it (--verify) could prove that it works",
        "?",
        "dim",
    ),
}
_FEATURES = (
    "avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16", "amx_int8",
    "asimd", "bf16", "i8mm", "sve",
)  # fmt: skip


def render(report: Report, page: Page, *, strict: bool = False) -> str:
    """The report as text."""
    lines = [*_target(report, page), *_machine(report.machine, page), *_engines(report, page)]
    lines += [*_code(report.code, page)] if report.code else [*_roles(report, page)]
    lines += [
        *_tried(report, page),
        *kernel_text(report.kernels, page),
        *_findings(report.findings, page),
        "",
        _verdict_line(report, page),
    ]
    return "\n".join(lines) + "\n"


def verdict(report: Report) -> str:
    """The report in one line."""
    roots = [each for each in report.findings if each.follows is None] or list(report.findings)
    counts = {each: sum(one.severity is each for one in roots) for each in Severity}
    problems = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((counts[Severity.ERROR], "error"), (counts[Severity.WARNING], "warning"))
        if count
    ]
    if problems:
        first = next(each for each in roots if each.severity is not Severity.INFO)
        more = sum(each.severity is not Severity.INFO for each in report.findings) - sum(
            each.severity is not Severity.INFO for each in roots
        )
        follow = f" ({more} more follow{'s' if more == 1 else ''} from what is above)" if more else ""
        return f"{', '.join(problems)}{follow}; first: {first.summary}"
    names = ", ".join(_named(status) for status in report.engines if status.engine.engine != "torch")
    return f"nothing found against {names}" if names else "nothing found"


def _target(report: Report, page: Page) -> Iterator[str]:
    interpreter = report.target.interpreter
    where = interpreter.executable or (report.target.site_paths or ("unknown",))[0]
    facts = [
        f"Python {interpreter.version or '(version unknown)'}",
        interpreter.platform or "platform unknown",
        f"{len(report.target.distributions)} distributions",
    ]
    yield page.paint("Environment", "bold")
    yield from page.wrap(where, indent=2)
    yield from page.wrap(", ".join(facts), indent=2)


def _machine(machine: Machine, page: Page) -> Iterator[str]:
    yield ""
    yield page.paint("Machine", "bold")
    memory = f"{machine.memory_bytes / 2**30:.1f} GiB" if machine.memory_bytes else "memory unknown"
    cores = f"{machine.cores} cores" if machine.cores else "cores unknown"
    yield from page.wrap(f"{machine.cpu or machine.architecture or 'CPU unknown'}, {cores}, {memory}", indent=2)
    features = [flag for flag in _FEATURES if flag in (machine.cpu_flags or ())]
    if features:
        yield from page.wrap(" ".join(features), indent=2)
    if machine.accelerators is None:
        yield from page.wrap("an NVIDIA driver is loaded, but nvidia-smi does not answer", indent=2)
    elif not machine.accelerators:
        yield from page.wrap("no NVIDIA GPU", indent=2)
    for gpu, count in Counter(machine.accelerators or ()).items():
        size = f"{gpu.memory_bytes / 2**30:.0f} GiB" if gpu.memory_bytes else "memory unknown"
        capability = f"compute capability {gpu.compute_capability or 'unknown'}"
        times = f"{count} times " if count > 1 else ""
        yield from page.wrap(f"{times}{gpu.name}, {size}, {capability}, driver {gpu.driver or 'unknown'}", indent=2)


def _engines(report: Report, page: Page) -> Iterator[str]:
    yield ""
    yield page.paint("Engines", "bold")
    if not report.engines:
        yield f"  {page.paint('✗', 'red')} none"
    for status in report.engines:
        bad = status.usable is False
        source = status.engine.distribution
        provided = f" (from {source})" if source and source != status.engine.engine else ""
        mark = page.paint("✗", "red") if bad else page.paint("✓", "green")
        yield from _marked(mark, f"{_named(status)}{provided}", page)


def _code(answer: CodeAnswer, page: Page) -> Iterator[str]:
    """What would happen to the lines that were asked about."""
    yield ""
    yield page.paint(
        answer.place[:1].upper() + answer.place[1:] if answer.place == "the code" else answer.place, "bold"
    )
    words, mark, style = _ANSWERS[answer.verdict]
    why = f", as {answer.explained_by} below says" if answer.explained_by else ""
    lines = page.wrap(words + why, indent=4)
    yield f"  {page.paint(mark, style)} {lines[0].strip()}"
    yield from lines[1:]


def _roles(report: Report, page: Page) -> Iterator[str]:
    for engine in dict.fromkeys(role.engine for role in report.roles):
        roles = [role for role in report.roles if role.engine == engine]
        found = [role for role in roles if role.status is Status.FOUND]
        yield ""
        yield page.paint(f"Names that mixprec needs from {engine}", "bold")
        mark = page.paint("✓", "green")
        yield from _marked(mark, f"{len(found)} found of {len(roles)}, by reading the source", page)
        for role in roles:
            if role.status is Status.PLACEHOLDER:
                text = f"{role.role.value}: a placeholder stands in for it ({role.condition})"
                yield from _marked(page.paint("!", "yellow"), text, page)
        absent = [role.role.value for role in roles if role.status is Status.MISSING]
        if absent:
            yield from _marked(page.paint("-", "dim"), f"not in this release: {', '.join(absent)}", page)
        yield from page.wrap(f"every path and signature: mixprec resolve --engine {engine}", indent=4)


def _marked(mark: str, text: str, page: Page) -> Iterator[str]:
    lines = page.wrap(text, indent=4)
    yield f"  {mark} {lines[0].strip()}"
    yield from lines[1:]


def _tried(report: Report, page: Page) -> Iterator[str]:
    """What was really tried, one line for each engine and one for the code."""
    if report.probes:
        yield ""
        yield page.paint("Really tried", "bold")
    for engine in dict.fromkeys(each.request.engine for each in report.probes):
        own = [each for each in report.probes if each.request.engine == engine]
        worked, seconds = sum(each.worked for each in own), sum(each.seconds for each in own)
        if engine is None:
            text = f"the code {'ran' if worked else 'failed'}, {seconds:.1f} s"
        else:
            text = f"{engine}: {worked} of {len(own)} imports, names and constructions worked, {seconds:.1f} s"
        mark = page.paint("✓", "green") if worked == len(own) else page.paint("!", "yellow")
        yield from _marked(mark, text, page)


def _findings(findings: tuple[Finding, ...], page: Page) -> Iterator[str]:
    yield ""
    yield page.paint("Findings", "bold")
    if not findings:
        yield f"  {page.paint('✓', 'green')} none"
    for index, finding in enumerate(findings):
        if finding.follows and index:
            yield from page.wrap(f"↳ so also {finding.code} {finding.summary}", indent=6, first=4)
            continue
        if index:
            yield ""
        yield from render_finding(finding, page)


def render_finding(finding: Finding, page: Page) -> Iterator[str]:
    """One finding with its remedy beneath."""
    style = _STYLES[finding.severity]
    lines = page.wrap(f"{finding.code} {finding.summary}", indent=4)
    yield f"  {page.paint(MARKS[finding.severity], style)} {page.paint(lines[0].strip(), 'bold')}"
    yield from (page.paint(line, "bold") for line in lines[1:])
    if finding.cause:
        yield from page.wrap(finding.cause, indent=4)
    for each in finding.evidence[:_MOST_EVIDENCE]:
        yield from (page.paint(line, "dim") for line in page.wrap(f"- {each}", indent=6, first=4))
    if (more := len(finding.evidence) - _MOST_EVIDENCE) > 0:
        yield page.paint(f"    - and {more} more (--format json has all)", "dim")
    if finding.remedy:
        yield from page.wrap(f"→ {finding.remedy.text}", indent=6, first=4)
        yield from (page.paint(f"      {command}", "cyan") for command in finding.remedy.commands)


def _verdict_line(report: Report, page: Page) -> str:
    errors = any(each.severity is Severity.ERROR for each in report.findings)
    warnings = any(each.severity is Severity.WARNING for each in report.findings)
    mark, style = ("✗", "red") if errors else ("!", "yellow") if warnings else ("✓", "green")
    text = f"{verdict(report)} ({'verified' if report.verified else 'static'}, {report.seconds:.2f} s)"
    lines = page.wrap(text, indent=2)
    return "\n".join([f"{page.paint(mark, style)} {lines[0].strip()}", *lines[1:]])


def _named(status: EngineStatus) -> str:
    return f"{status.engine.engine} {status.engine.version or '(version unknown)'}"
