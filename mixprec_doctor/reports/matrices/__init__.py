"""The matrix of many releases: one module for each form."""

from __future__ import annotations

__all__ = ["FORMS", "format_of", "render_matrix"]

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from mixprec_doctor.records.matrix import Matrix
from mixprec_doctor.reports.page import Page

# Where the renderer of a form lives; imported when it is asked for.
FORMS: Mapping[str, str] = {
    "text": "mixprec_doctor.reports.matrices.text",
    "json": "mixprec_doctor.reports.matrices.document",
    "markdown": "mixprec_doctor.reports.matrices.markdown",
    "html": "mixprec_doctor.reports.matrices.html",
}
_SUFFIXES = {".json": "json", ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html"}


def format_of(file: Path | None) -> str:
    """The form that a file's name asks for; text without one."""
    return _SUFFIXES.get(file.suffix.lower(), "text") if file else "text"


def render_matrix(matrix: Matrix, form: str, page: Page | None = None) -> str:
    """The matrix in one of the ``FORMS``, for a page of some width and colour."""
    return cast("str", importlib.import_module(FORMS[form]).render(matrix, page or Page()))
