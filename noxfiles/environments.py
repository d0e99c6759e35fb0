"""Environments of engine cells: made once, used by every session that needs the cell, remade when the pins change.

Packages are installed by uv, which takes 10 s where pip takes 150 (most of it compiling files nobody imports). Where a
cell takes the machine's own build of torch, pip installs that: only pip knows where it is (``find-links``, extra
indexes).
"""

from __future__ import annotations

__all__ = ["CACHE", "ROOT", "cell_folder", "engine_python"]

import hashlib
import os
import sys
import venv
from pathlib import Path

import nox

from noxfiles.cells import Cell

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "mixprec"
UV = "uv>=0.8"
TEST_TOOLS = ("pytest>=8", "hypothesis>=6")


def engine_python(session: nox.Session, cell: Cell) -> str:
    """The interpreter of the cell's environment, with this checkout installed into it where sessions run inside.

    Made anew when what it is made from differs: the pins, the interpreter, and this project's metadata where it is
    installed. The pins are complete, so nothing is resolved (``--no-deps``) and no other machine's build is taken.
    """
    folder = cell_folder(cell)
    python = folder / "bin" / "python"
    wanted = _digest(cell)
    made = folder / "mixprec-made-from"
    if python.exists() and made.is_file() and made.read_text(encoding="utf-8") == wanted:
        session.log(f"using {folder.relative_to(ROOT)} again")
        return str(python)
    session.log(f"making {folder.relative_to(ROOT)}")
    venv.EnvBuilder(with_pip=True, clear=True, symlinks=True).create(folder)
    pip = (str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
    session.run(*pip, UV, external=True)
    if cell.machine_torch:
        torch = next(line for line in cell.pins.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))
        session.log(f"installing {torch}")
        session.run(*pip, "--no-deps", torch, external=True)
    uv = (str(folder / "bin" / "uv"), "pip", "install", "--no-progress", "--python", str(python))
    index = _index(session, python)
    session.run(*uv, "--no-deps", "-r", str(cell.pins), external=True, env=index)
    if cell.added:
        session.run(*uv, "--no-deps", *cell.added, external=True, env=index)
    if cell.hosts_mixprec:
        session.run(*uv, *TEST_TOOLS, external=True, env=index)
        session.run(*uv, "--no-deps", "-e", str(ROOT), external=True, env=index)
    made.write_text(wanted, encoding="utf-8")
    return str(python)


def cell_folder(cell: Cell) -> Path:
    """Where the cell's environment stands, once it is made."""
    return ROOT / ".nox" / f"cell-{cell.name}"


def _index(session: nox.Session, python: Path) -> dict[str, str]:
    """uv does not read pip's settings: hand on the index that pip is set up for, if it is set up for one."""
    named = os.environ.get("PIP_INDEX_URL") or session.run(
        str(python), "-m", "pip", "config", "get", "global.index-url",
        external=True, silent=True, success_codes=[0, 1], stderr=None,
    )  # fmt: skip
    url = str(named).strip() if named and str(named).strip().startswith("http") else ""
    return {"UV_DEFAULT_INDEX": url} if url else {}


def _digest(cell: Cell) -> str:
    project = (ROOT / "pyproject.toml").read_bytes() if cell.hosts_mixprec else b""
    parts = [cell.pins.read_bytes(), " ".join(cell.added).encode(), project, sys.version.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
