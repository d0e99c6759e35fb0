"""Reports of `mixprec check`: a CodeReport in, text out."""

from __future__ import annotations

__all__ = ["CHECK_FORMATS", "render_check"]

import importlib
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import cast

from mixprec_doctor.records.codefinding import CodeFinding, CodeReport
from mixprec_doctor.redaction import Redactor, Secrets
from mixprec_doctor.reports.page import Page

# Where the renderer of a format lives; imported when it is asked for.
CHECK_FORMATS: Mapping[str, str] = {
    "text": "mixprec_doctor.reports.checks.text",
    "json": "mixprec_doctor.reports.checks.document",
    "sarif": "mixprec_doctor.reports.checks.sarif",
    "github": "mixprec_doctor.reports.checks.github",
}
_FOR_MACHINES = frozenset({"json"})  # its paths are read by programs, and stay whole


def render_check(
    report: CodeReport, name: str, page: Page | None = None, *, strict: bool = False, secrets: Secrets | None = None
) -> str:
    """The report in one of the ``CHECK_FORMATS``; no secret stands in any, whatever the code holds."""
    redactor = Redactor(secrets or Secrets.of(), personal=name not in _FOR_MACHINES)
    told = redactor.record(report)
    if told is not report:
        pairs = zip(report.findings, told.findings, strict=True)
        told = replace(told, findings=tuple(_placed(old, new) for old, new in pairs))
    renderer: ModuleType = importlib.import_module(CHECK_FORMATS[name])
    return cast("str", renderer.render(told, page or Page(), strict=strict))


def _placed(old: CodeFinding, new: CodeFinding) -> CodeFinding:
    """Columns of a line that was redacted lead astray: the whole line is meant then."""
    if old.source == new.source:
        return new
    first = len(new.source) - len(new.source.lstrip()) + 1
    place = replace(new.place, column=first, end_line=new.place.line, end_column=len(new.source) + 1)
    return replace(new, place=place)
