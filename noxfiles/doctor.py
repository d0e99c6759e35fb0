"""The doctor on real environments, healthy ones and broken ones: ``nox -s doctor``."""

from __future__ import annotations

__all__ = ["doctor"]

import nox

from noxfiles.cells import cells_of, find_cell
from noxfiles.environments import ROOT, engine_python


@nox.session
@nox.parametrize("cell", [cell.name for cell in cells_of("doctor")])
def doctor(session: nox.Session, cell: str) -> None:
    """What the doctor says of an environment of which it is known what is wrong with it; SGLang 0.5.21: 8.5 GB."""
    session.install("pytest>=8", "hypothesis>=6", "-e", ".")
    python = engine_python(session, find_cell(cell))
    tests = ROOT / "tests" / "matrix" / "test_doctor_on_environments.py"
    environment = {"MIXPREC_TEST_PYTHON": python, "MIXPREC_TEST_CELL": cell}
    session.run("pytest", "-m", "doctor", str(tests), *session.posargs, env=environment)
