"""Reports: renderers take a record and give text; nothing here prints."""

from __future__ import annotations

__all__ = ["FORMATS", "Page", "UnknownFormat", "render_report"]

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import cast

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.report import Report
from mixprec_doctor.redaction import Redactor, Secrets
from mixprec_doctor.reports.page import Page

# Where the renderer of a format lives; imported when it is asked for.
FORMATS: Mapping[str, str] = {
    "text": "mixprec_doctor.reports.text",
    "json": "mixprec_doctor.reports.document",
    "markdown": "mixprec_doctor.reports.markdown",
    "sarif": "mixprec_doctor.reports.sarif",
    "junit": "mixprec_doctor.reports.junit",
    "github": "mixprec_doctor.reports.github",
}
_FOR_MACHINES = frozenset({"json"})  # its paths are read by programs, and stay whole


class UnknownFormat(MixprecError):
    """No renderer has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no format {self.name!r}; known: {', '.join(FORMATS)}"


def render_report(
    report: Report, name: str, page: Page | None = None, *, strict: bool = False, secrets: Secrets | None = None
) -> str:
    """The report in a format, for a page of some width and colour; no secret stands in any.

    ``strict`` makes warnings count where a format has failures; ``secrets`` are those of the environment
    variables unless given.
    """
    if name not in FORMATS:
        raise UnknownFormat(name)
    redactor = Redactor(secrets or Secrets.of(), personal=name not in _FOR_MACHINES)
    renderer: ModuleType = importlib.import_module(FORMATS[name])
    return cast("str", renderer.render(redactor.record(report), page or Page(), strict=strict))
