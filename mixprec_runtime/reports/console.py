"""Rich renderables to text: coloured on a terminal, plain when piped or when NO_COLOR is set."""

from __future__ import annotations

__all__ = ["render"]

import io
import sys

from rich.console import Console, RenderableType

PIPE_WIDTH = 120


def render(renderable: RenderableType, *, to_file: bool = False, stderr: bool = False) -> str:
    """Text for standard output (or error), as wide as the terminal; 120 columns when there is none."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty() and not to_file
    width = Console().width if terminal else PIPE_WIDTH
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal, highlight=False, soft_wrap=not terminal,
        markup=False, emoji=False,  # names of a checkpoint's modules are shown as they are
    )  # fmt: skip
    console.print(renderable)
    out = console.file
    assert isinstance(out, io.StringIO)  # noqa: S101  made above
    return out.getvalue()
