"""Style, types and the tests that need no engine."""

from __future__ import annotations

__all__ = ["lint", "network", "typecheck", "unit"]

import nox

TORCH = "torch==2.13.0"  # the CPU build, where pip is set up for it
UNIT = (
    "pytest>=8",
    "hypothesis>=6",
    "numpy",
    "transformers>=5,<6",
    "safetensors",
    "Jinja2>=3.1",
    "starlette>=0.40",
    "uvicorn>=0.30",
    "compressed-tensors<0.18",  # later ones do not read act-order any more, which checkpoints have
    "psutil",  # which these import and do not ask for
    "msgspec>=0.19",
    "attrs>=23",
    "jsonschema>=4",
)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install("ruff==0.17.6")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typecheck(session: nox.Session) -> None:
    """mypy, strict, on both packages."""
    session.install("mypy==2.4.1", "types-PyYAML", "types-requests", "-e", ".[fix,fit]")
    session.run("mypy")


@nox.session
def unit(session: nox.Session) -> None:
    """Tests without an engine; torch is there so that packing and kernels are tested too."""
    session.install(TORCH)
    session.install(*UNIT, "-e", ".[fix,fit]")
    session.run("pytest", "-m", "not engine and not checkpoints and not network", *session.posargs)


@nox.session
def network(session: nox.Session) -> None:
    """What is chosen and read of releases on the index that pip is set up for, and what the adapter needs of each."""
    session.install("pytest>=8", "hypothesis>=6", "-e", ".")
    session.run("pytest", "-m", "network", "tests/doctor", "tests/releases", *session.posargs)
