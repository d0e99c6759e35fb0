"""Page: what text is rendered for, and how lines are laid on it."""

from __future__ import annotations

__all__ = ["Page", "page_for"]

import os
import shutil
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

_COLOURS = {"green": "32", "yellow": "33", "red": "31", "dim": "2", "bold": "1", "cyan": "36"}
_WIDEST, _NARROWEST = 100, 40


@dataclass(frozen=True, kw_only=True)
class Page:
    """A width in columns and whether colours are wanted."""

    width: int = 80
    colour: bool = False

    def paint(self, text: str, *styles: str) -> str:
        """The text in some styles, or as it is on a page without colour."""
        if not self.colour or not styles:
            return text
        return f"\033[{';'.join(_COLOURS[style] for style in styles)}m{text}\033[0m"

    def wrap(self, text: str, *, indent: int = 0, first: int | None = None) -> list[str]:
        """The text in lines of the page, indented; ``first`` leaves room for a mark on the first line."""
        lines = textwrap.wrap(
            text,
            width=max(self.width, _NARROWEST),
            initial_indent=" " * (indent if first is None else first),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        if len(lines) > 1 and len(lines[0].strip()) == 1:  # a mark stays with its path, however long that is
            lines[:2] = [f"{lines[0]} {lines[1].strip()}"]
        return lines


def page_for(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Page:
    """The page that a stream is: its terminal's width; colour only on a terminal and without NO_COLOR."""
    terminal = stream.isatty()
    columns = shutil.get_terminal_size((_WIDEST, 24)).columns if terminal else _WIDEST
    wanted = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Page(width=min(columns, _WIDEST), colour=terminal and wanted)
