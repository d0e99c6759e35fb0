"""The main job: ``nox -s demo``."""

from __future__ import annotations

__all__ = ["demo"]

import nox

from noxfiles.cells import CELLS
from noxfiles.environments import CACHE, engine_python


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Set up vLLM for CPUs and run ``mixprec demo`` in it; arguments after -- go to the command."""
    python = engine_python(session, CELLS[0])
    session.run(
        python, "-m", "mixprec_runtime", "demo", *session.posargs, env={"MIXPREC_CACHE": str(CACHE)}, external=True
    )
