"""Reports: renderers take a record and give text; nothing here prints."""

from __future__ import annotations

__all__ = ["FORMATS", "Page", "UnknownFormat", "render_report"]

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import cast

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.report import Report
from mixprec_doctor.reports.page import Page

# Where the renderer of a format lives; imported when it is asked for.
FORMATS: Mapping[str, str] = {
    "text": "mixprec_doctor.reports.text",
    "json": "mixprec_doctor.reports.document",
    "markdown": "mixprec_doctor.reports.markdown",
}


class UnknownFormat(MixprecError):
    """No renderer has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no format {self.name!r}; known: {', '.join(FORMATS)}"


def render_report(report: Report, name: str, page: Page | None = None) -> str:
    """The report in a format, for a page of some width and colour."""
    if name not in FORMATS:
        raise UnknownFormat(name)
    renderer: ModuleType = importlib.import_module(FORMATS[name])
    return cast("str", renderer.render(report, page or Page()))
