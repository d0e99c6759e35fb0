"""A diagnosis of a log: for the terminal, and as the ``mixprec.explain/1`` document."""

from __future__ import annotations

__all__ = ["DIAGNOSIS_FORMATS", "render_diagnosis"]

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from mixprec_doctor.records.diagnosis import Diagnosis, KnownFault
from mixprec_doctor.records.traceback import Raised
from mixprec_doctor.redaction import Redactor, Secrets
from mixprec_doctor.reports.page import Page
from mixprec_doctor.reports.text import render_finding

DIAGNOSIS_FORMATS = ("text", "json")
_LONGEST_MESSAGE = 600


def render_diagnosis(
    diagnosis: Diagnosis, name: str, page: Page | None = None, *, secrets: Secrets | None = None
) -> str:
    """The diagnosis in one of the ``DIAGNOSIS_FORMATS``; no secret stands in it."""
    redacted = Redactor(secrets or Secrets.of(), personal=name != "json").record(diagnosis)
    if name == "json":
        return json.dumps(redacted.to_json(), indent=2, ensure_ascii=False) + "\n"
    page = page or Page()
    parts = (_failure(redacted, page), _explanation(redacted, page), _verdict(redacted, page))
    return "\n".join("".join(f"{line}\n" for line in part) for part in map(list, parts) if part)


def _failure(diagnosis: Diagnosis, page: Page) -> Iterator[str]:
    raised = diagnosis.raised
    if raised is None:
        return
    yield page.paint("What failed", "bold")
    for line in _message(raised).splitlines():
        yield from page.wrap(line, indent=4, first=2)
    where = f"in {diagnosis.where}" if diagnosis.where else None
    process = f"process {diagnosis.process}" if diagnosis.process else None
    if where or process:
        yield from page.wrap(", ".join(each for each in (where, process) if each), indent=4)
    frame = raised.frames[-1] if raised.frames else None
    if frame is not None and frame.code:
        yield from page.wrap(f"{frame.file}, line {frame.line}: {frame.code}", indent=6, first=4)
    if diagnosis.shown is not None:
        yield from page.wrap(f"shown in the end: {_message(diagnosis.shown).partition(chr(10))[0]}", indent=6, first=4)


def _message(raised: Raised) -> str:
    text = str(raised)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]} ..."


def _explanation(diagnosis: Diagnosis, page: Page) -> Iterator[str]:
    if not diagnosis.is_explained:
        return
    sure = bool(diagnosis.faults) or all(each.certain for each in diagnosis.findings)
    yield page.paint("What explains it" if sure else "What probably explains it", "bold")
    for index, each in enumerate(diagnosis.findings):
        if index:
            yield ""
        yield from render_finding(each.finding, page)
    for fault in diagnosis.faults:
        if diagnosis.findings:
            yield ""
        yield from _fault(fault, page)


def _fault(fault: KnownFault, page: Page) -> Iterator[str]:
    yield f"  {page.paint('✗', 'red')} {page.paint(fault.title, 'bold')}"
    yield from page.wrap(fault.explanation, indent=4)
    yield from page.wrap(f"→ {fault.remedy.text}", indent=6, first=4)
    yield from (page.paint(f"      {command}", "cyan") for command in fault.remedy.commands)


def _verdict(diagnosis: Diagnosis, page: Page) -> Iterator[str]:
    seconds = f"({diagnosis.seconds:.2f} s)"
    if diagnosis.raised is None and not diagnosis.faults:
        yield from _marked(
            "!", "this text shows no exception and no fault that mixprec knows; give it more of the log", page
        )
        return
    if diagnosis.findings:
        first = diagnosis.findings[0]
        word = "explained" if first.certain else "probably explained"
        yield from _marked("✗", f"{word} by {first.finding.code}: {first.finding.summary} {seconds}", page)
    elif diagnosis.faults:
        yield from _marked("✗", f"explained: {diagnosis.faults[0].title} {seconds}", page)
    else:
        yield from _marked("·", f"nothing that mixprec knows explains this {seconds}", page)
        if diagnosis.others:
            many = "an error" if diagnosis.others == 1 else f"{diagnosis.others} errors"
            yield from page.wrap(f"the environment has {many} of its own, about other things: mixprec doctor", indent=2)
    if not diagnosis.is_explained or diagnosis.elsewhere:
        yield from page.wrap(f"looked at {diagnosis.environment}", indent=2)
    if diagnosis.elsewhere:
        yield from page.wrap(
            f"the log is of another environment, {diagnosis.elsewhere}; to look at that one:", indent=2
        )
        yield page.paint(f"    mixprec explain FILE {_option(diagnosis.elsewhere)}", "cyan")


def _option(folder: str) -> str:
    """The environment of a site-packages folder, as it can be named here."""
    path = Path(folder)
    root = path.parents[2] if len(path.parts) > 3 else path
    python = root / "bin" / "python"
    return (
        f"--python {shlex.quote(str(python))}"
        if python.expanduser().exists()
        else f"--site-packages {shlex.quote(folder)}"
    )


def _marked(mark: str, text: str, page: Page) -> Iterator[str]:
    style = {"✗": "red", "!": "yellow", "·": "dim"}[mark]
    lines = page.wrap(text, indent=2)
    yield f"{page.paint(mark, style)} {lines[0].strip()}"
    yield from lines[1:]
