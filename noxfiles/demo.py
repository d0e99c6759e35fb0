"""The main job: ``nox -s demo``, with mixprec's own engine; ``nox -s demo -- vllm`` with vLLM for CPUs."""

from __future__ import annotations

__all__ = ["demo"]

import nox

from noxfiles.cells import Cell, cells_of
from noxfiles.environments import CACHE, engine_python

ENGINES: dict[str, Cell] = {"torch": cells_of("demo")[0], "vllm": cells_of("engine")[0]}


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Set up an engine and run ``mixprec demo`` in it: torch, or vllm if that is said; more arguments go to it."""
    named = session.posargs[:1] if session.posargs[:1] and session.posargs[0] in ENGINES else ["torch"]
    more = session.posargs[1:] if session.posargs[:1] == named else session.posargs
    python = engine_python(session, ENGINES[named[0]])
    session.run(python, "-m", "mixprec_runtime", "demo", *more, env={"MIXPREC_CACHE": str(CACHE)}, external=True)
