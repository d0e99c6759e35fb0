"""Checkpoints of other people's tools: ``nox -s third_party``."""

from __future__ import annotations

__all__ = ["third_party"]

import nox

from noxfiles.cells import CELLS
from noxfiles.environments import CACHE, ROOT, engine_python


@nox.session(venv_backend="none")
def third_party(session: nox.Session) -> None:
    """Make checkpoints with llm-compressor and auto-round (half an hour, once), mix them, and serve the mixtures."""
    python = engine_python(session, CELLS[0])
    environment = {"MIXPREC_CACHE": str(CACHE), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    session.run(python, "-m", "mixprec_runtime", "demo", "--checkpoints-only", env=environment, external=True)
    session.run(python, "-m", "tests.matrix.third_party", env=environment, external=True)
    tests = ROOT / "tests" / "matrix" / "test_third_party.py"
    session.run(python, "-m", "pytest", str(tests), *session.posargs, env=environment, external=True)
