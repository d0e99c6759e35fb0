"""Imports point one way, heavy modules stay where they belong, and `--help` stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "vllm", "sglang", "transformers"}
# The only places of the project that may import torch, an engine or transformers.
HEAVY_PLACES = (
    "mixprec_runtime/adapters/", "mixprec_runtime/kernels/", "mixprec_runtime/reference/",
    "mixprec_runtime/packing/", "mixprec_runtime/demo/base_model.py", "mixprec_runtime/demo/recipes.py",
    "mixprec_runtime/demo/build.py", "mixprec_runtime/demo/makers.py",
)  # fmt: skip
# Layers of the doctor, lowest first; a module imports from its own layer and from those below.
LAYERS = (
    ("cache", "errors", "files", "kept", "parallel", "redaction", "version"),
    ("records",),
    ("environment", "machine"),
    ("probe",),
    ("binaries",),
    ("source",),
    ("index",),
    ("resolving",),
    ("rehearsal",),
    ("project", "tracebacks", "usercode"),
    ("codecheck", "mending"),
    ("kernels",),
    ("checks",),
    (
        "api",
        "construction",
        "diagnosis",
        "examination",
        "extensions",
        "inquiry",
        "matrix",
        "proving",
        "remedies",
        "setup",
        "specimens",
        "verification",
    ),
    ("reports",),
    ("cli", "__main__"),
)
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for package in ("mixprec_doctor", "mixprec_runtime")
    for path in (ROOT / package).rglob("*.py")
)


def imported(path: str) -> Iterator[str]:
    """Every module that a file names in an import at any depth, but not those for type checkers."""
    tree = ast.parse((ROOT / path).read_bytes())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in node.body
        for inner in ast.walk(child)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def layer_of(module: str) -> int | None:
    """The layer of a module of the doctor; None for the package itself."""
    part = [*module.split("."), ""][1]
    return next((index for index, names in enumerate(LAYERS) if part in names), None)


@pytest.mark.parametrize("path", MODULES)
def test_heavy_imports_stay_in_their_places(path: str) -> None:
    tops = {name.partition(".")[0] for name in imported(path)}
    if path.startswith("mixprec_doctor/"):
        assert not tops & (HEAVY | {"mixprec_runtime"})
    elif not path.startswith(HEAVY_PLACES):
        assert not tops & HEAVY


@pytest.mark.parametrize("path", [path for path in MODULES if path.startswith("mixprec_doctor/")])
def test_the_doctor_imports_downwards_only(path: str) -> None:
    own = layer_of(path.removesuffix(".py").replace("/", "."))
    if own is None:  # the package itself names what it loads on demand
        return
    above = {
        name for name in imported(path)
        if name.startswith("mixprec_doctor.") and (layer_of(name) or 0) > own
    }  # fmt: skip
    assert above == set()


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after some code."""
    child = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; sys.stderr.write(' '.join(sys.modules))"],
        capture_output=True, text=True, check=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    return {name.partition(".")[0] for name in child.stderr.split()}


@pytest.mark.parametrize("main", ["mixprec_runtime.cli.main", "mixprec_doctor.cli.main"])
def test_help_imports_nothing_heavy(main: str) -> None:
    loaded = modules_after(f"import sys; sys.argv = ['mixprec', '--help']\nfrom {main} import main\nassert main() == 0")
    assert "click" in loaded
    assert not loaded & (HEAVY | {"rich", "yaml", "pydantic", "packaging", "requests", "safetensors", "sqlite3"})


@pytest.mark.parametrize("package", ["mixprec_doctor", "mixprec_runtime"])
def test_importing_a_package_imports_nothing_of_others(package: str) -> None:
    loaded = modules_after(f"import {package}")
    assert not loaded & (
        HEAVY | {"click", "rich", "yaml", "pydantic", "packaging", "requests", "safetensors", "sqlite3"}
    )
