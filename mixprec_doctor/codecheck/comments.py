"""Comments: a report without what the comments of the checked files ignore."""

from __future__ import annotations

__all__ = ["heed_comments"]

from collections.abc import Iterable, Iterator

from mixprec_doctor.codecheck.files import CodeFile, read_content, read_text
from mixprec_doctor.codecheck.notebooks import UnreadableNotebook, cells_of
from mixprec_doctor.project.ignores import apply_ignores, mentions_ignores
from mixprec_doctor.records.codefinding import CodeReport


def heed_comments(report: CodeReport, files: Iterable[CodeFile]) -> CodeReport:
    """The report after ``# mixprec: ignore[...]`` in any of the files, with a warning for each that ignores nothing."""
    unread = {file for file, _ in report.unread}
    return apply_ignores(report, (each for file in files if file.shown not in unread for each in _texts(file)))


def _texts(file: CodeFile) -> Iterator[tuple[str, int | None, str]]:
    """The text of a file that has something to say to mixprec, or of each cell of such a notebook."""
    content = read_content(file)
    if content is None or not mentions_ignores(content):
        return
    try:
        if file.path.suffix == ".ipynb":
            for cell, text in cells_of(content):
                yield file.shown, cell, text
        else:
            yield file.shown, None, read_text(content)
    except (SyntaxError, UnicodeDecodeError, UnreadableNotebook):  # the report says so of a file that is read
        return
