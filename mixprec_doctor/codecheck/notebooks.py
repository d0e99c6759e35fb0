"""Notebooks: the code cells of an ``.ipynb``, their magics blanked out so that every line stays where it is."""

from __future__ import annotations

__all__ = ["UnreadableNotebook", "cells_of"]

import json
import re
from collections.abc import Iterator

from mixprec_doctor.errors import MixprecError

_MAGIC = re.compile(r"^(\s*)(?:[%!?].*|[\w.]+\?\??\s*)$")
_CELL_MAGIC = re.compile(r"\s*%%(\w+)?")
_OTHER_LANGUAGES = {
    "bash", "cmd", "html", "javascript", "js", "latex", "markdown", "perl", "ruby", "script", "sh", "sql", "svg",
    "system", "sx", "writefile", "file",
}  # fmt: skip
_GIVEN = re.compile(r"^(\s*)[\w, ]+=\s*[%!].*$")  # files = !ls


class UnreadableNotebook(MixprecError):
    """A file called like a notebook is none."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        return self.fault


def cells_of(content: bytes) -> Iterator[tuple[int, str]]:
    """The number of each code cell, counted from 1 among all cells, and its Python."""
    try:
        raw = json.loads(content)
        language = raw.get("metadata", {}).get("kernelspec", {}).get("language", "python")
        cells = raw.get("cells") or [each for sheet in raw.get("worksheets", ()) for each in sheet["cells"]]
        sources = [(each.get("cell_type"), each.get("source", each.get("input", ""))) for each in cells]
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as fault:
        raise UnreadableNotebook(f"no notebook: {fault or type(fault).__name__}") from None
    if str(language).lower() != "python":
        return
    for number, (kind, source) in enumerate(sources, start=1):
        if kind == "code":
            yield number, plain("".join(source) if isinstance(source, list) else str(source))


def plain(text: str) -> str:
    """The lines of a cell, as many as before, with nothing that only a notebook understands."""
    magic = _CELL_MAGIC.match(text)
    lines = text.split("\n")
    if magic and (magic[1] or "").lower() in _OTHER_LANGUAGES:
        return "\n" * (len(lines) - 1)
    continued = False
    for at, line in enumerate(lines):
        found = _MAGIC.match(line) or _GIVEN.match(line)
        if continued or found:
            continued = line.endswith("\\")
            lines[at] = f"{found[1]}pass" if found and found[1] else ""
    return "\n".join(lines)
