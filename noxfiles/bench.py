"""Figures: ``nox -s bench``, with ``-- --all`` for all releases of both engines."""

from __future__ import annotations

__all__ = ["bench", "bench_kernels"]

import nox

from noxfiles.cells import cells_of
from noxfiles.environments import cell_folder
from noxfiles.quality import TORCH


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


@nox.session
def bench_kernels(session: nox.Session) -> None:
    """Seconds and errors of portable kernels beside 16 bits, on this machine's CPU; ``-- --device cuda`` on its GPU."""
    session.install(TORCH)
    session.install("-e", ".")
    session.run("python", "-m", "benchmarks.kernels", *session.posargs)
