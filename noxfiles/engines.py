"""Tests against really installed engines."""

from __future__ import annotations

__all__ = ["engine", "engine_heavy", "inspect", "releases", "sglang"]

from collections.abc import Sequence
from pathlib import Path

import nox

from noxfiles.cells import cells_of, find_cell
from noxfiles.environments import CACHE, ROOT, engine_python

MATRIX = ROOT / "tests" / "matrix"
EVERY_RELEASE = ("served_mixture", "doors", "fused_units", "layouts", "refused_loads", "portable_tier", "loaded_bytes")
"""Tests of what the adapter does inside an engine: those that another release could break."""


@nox.session(venv_backend="none")
@nox.parametrize("cell", [cell.name for cell in cells_of("engine")])
def engine(session: nox.Session, cell: str) -> None:
    """Serve mixtures on a real engine and compare with a float32 reference."""
    _inside(session, cell, "engine and not heavy", [MATRIX])


@nox.session(venv_backend="none")
@nox.parametrize("cell", [cell.name for cell in cells_of("engine")])
def engine_heavy(session: nox.Session, cell: str) -> None:
    """What takes longer still: tensor parallelism, experts, fused units, faults at every stage, other tools."""
    _inside(session, cell, "engine and heavy", [MATRIX])


@nox.session(venv_backend="none")
@nox.parametrize("cell", [cell.name for cell in cells_of("releases")])
def releases(session: nox.Session, cell: str) -> None:
    """The same on earlier releases of the engine; each takes its own 3.5 GB and as long as ``engine``."""
    _inside(session, cell, "engine", [MATRIX / f"test_{name}.py" for name in EVERY_RELEASE])


@nox.session(venv_backend="none")
@nox.parametrize("cell", [cell.name for cell in cells_of("sglang")])
def sglang(session: nox.Session, cell: str) -> None:
    """The adapter inside a real SGLang, as far as that goes without a GPU; each release takes 5 to 8.5 GB."""
    _inside(session, cell, "engine", [MATRIX / "sglang"], MIXPREC_ENGINE="sglang")  # vLLM may be beside it


def _inside(session: nox.Session, cell: str, marked: str, tests: Sequence[Path], **variables: str) -> None:
    python = engine_python(session, find_cell(cell))
    environment = {"MIXPREC_CACHE": str(CACHE), "HF_HUB_OFFLINE": "1", **variables}
    session.run(python, "-m", "mixprec_runtime", "demo", "--checkpoints-only", env=environment, external=True)
    session.run(
        python, "-m", "pytest", "-m", marked, *map(str, tests), *session.posargs, env=environment, external=True
    )  # fmt: skip


@nox.session
@nox.parametrize("cell", [cell.name for cell in cells_of("inspect")])
def inspect(session: nox.Session, cell: str) -> None:
    """What is read of a real engine from outside, against what Python says once it is imported; SGLang: 8.5 GB."""
    session.install("pytest>=8", "hypothesis>=6", "-e", ".")
    python = engine_python(session, find_cell(cell))
    names = ["names_against_inspect", "altered_releases", "verify_on_engine"]
    if find_cell(cell).engine == "sglang":
        names.append("kernel_proofs_sglang")
    files = [str(MATRIX / f"test_{name}.py") for name in names]
    session.run("pytest", "-m", "engine", *files, *session.posargs, env={"MIXPREC_TEST_PYTHON": python})
