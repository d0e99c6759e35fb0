"""Tests against really installed engines."""

from __future__ import annotations

__all__ = ["engine"]

import nox

from noxfiles.cells import CELLS, find_cell
from noxfiles.environments import CACHE, ROOT, engine_python


@nox.session(venv_backend="none")
@nox.parametrize("cell", [cell.name for cell in CELLS])
def engine(session: nox.Session, cell: str) -> None:
    """Serve mixtures on a real engine and compare with a float32 reference."""
    python = engine_python(session, find_cell(cell))
    environment = {"MIXPREC_CACHE": str(CACHE), "HF_HUB_OFFLINE": "1"}
    session.run(python, "-m", "mixprec_runtime", "demo", "--checkpoints-only", env=environment, external=True)
    session.run(
        python, "-m", "pytest", "-m", "engine", str(ROOT / "tests" / "matrix"), *session.posargs,
        env=environment, external=True,
    )  # fmt: skip
