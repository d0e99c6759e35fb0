"""Environments of engine cells: made once, used by every session that needs the cell, remade when the pins change."""

from __future__ import annotations

__all__ = ["CACHE", "ROOT", "engine_python"]

import hashlib
import sys
import venv
from pathlib import Path

import nox

from noxfiles.cells import Cell

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "mixprec"
TEST_TOOLS = ("pytest>=8", "hypothesis>=6")


def engine_python(session: nox.Session, cell: Cell) -> str:
    """The interpreter of the cell's environment, with this checkout installed into it.

    Made anew when the pins, this project's metadata or the interpreter differ from those it was made with. The pins
    are complete, so pip resolves nothing (``--no-deps``) and takes no build of another machine's kind.
    """
    folder = ROOT / ".nox" / f"cell-{cell.name}"
    python = folder / "bin" / "python"
    wanted = _digest(cell)
    made = folder / "mixprec-made-from"
    if python.exists() and made.is_file() and made.read_text(encoding="utf-8") == wanted:
        session.log(f"using {folder.relative_to(ROOT)} again")
        return str(python)
    session.log(f"making {folder.relative_to(ROOT)}")
    venv.EnvBuilder(with_pip=True, clear=True, symlinks=True).create(folder)
    pip = (str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off")
    session.run(*pip, "--no-deps", "-r", str(cell.pins), external=True)
    session.run(*pip, *TEST_TOOLS, external=True)
    session.run(*pip, "--no-deps", "-e", str(ROOT), external=True)
    made.write_text(wanted, encoding="utf-8")
    return str(python)


def _digest(cell: Cell) -> str:
    parts = [cell.pins.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
