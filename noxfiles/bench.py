"""Figures: ``nox -s bench``, with ``-- --all`` for all releases of both engines."""

from __future__ import annotations

__all__ = ["bench"]

import nox

from noxfiles.cells import cells_of
from noxfiles.environments import cell_folder


@nox.session
def bench(session: nox.Session) -> None:
    """Seconds and memory of mixprec's commands, as ratios against griffe in the same run; asserts nothing."""
    session.install("griffe>=2,<3", "-e", ".")
    pythons: list[str] = []
    for cell in cells_of("inspect"):
        python = cell_folder(cell) / "bin" / "python"
        if python.exists():
            pythons += ["--python", str(python)]
        else:
            session.log(f"left out: {cell.name}, which is not installed; nox -s inspect installs it")
    session.run("python", "-m", "benchmarks", *pythons, *session.posargs)
