"""A matrix as the ``mixprec.matrix/1`` document."""

from __future__ import annotations

__all__ = ["render"]

import json

from mixprec_doctor.records.matrix import Matrix
from mixprec_doctor.reports.page import Page


def render(matrix: Matrix, page: Page) -> str:
    """The matrix as JSON, in one line: indented it would be several times as large."""
    return json.dumps(matrix.to_json(), ensure_ascii=False, separators=(",", ":")) + "\n"
