"""MP110: a folder on the way to an import hides the installed engine."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator
from pathlib import Path

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    asked = patient.code.packages() if patient.code is not None else set()
    for engine in patient.engines:
        for folder in patient.import_folders:
            if (place := _hides(Path(folder), engine)) is not None:
                severity = Severity.ERROR if engine.engine in asked else Severity.WARNING
                yield _finding(engine, place, Path(folder), severity=severity)
                break  # the first on the path wins


def _hides(folder: Path, engine: InstalledEngine) -> Path | None:
    """What a folder would give in place of the engine; a folder without ``__init__`` hides nothing."""
    for place in (folder / engine.engine / "__init__.py", folder / f"{engine.engine}.py"):
        if place.is_file():
            found = place.parent if place.name == "__init__.py" else place
            return None if engine.root and found.resolve() == Path(engine.root).resolve() else found
    return None


def _finding(engine: InstalledEngine, place: Path, folder: Path, *, severity: Severity) -> Finding:
    here = folder.resolve() == Path.cwd()
    where = "the working directory" if here else "a folder on PYTHONPATH"
    compiled = any(place.rglob("*.so")) if place.is_dir() else False
    return Finding(
        code="MP110",
        severity=severity,
        engine=engine.engine,
        summary=f"{where} has a {engine.engine} of its own, which shadows the installed one",
        cause=(
            f"Python looks into {folder} before it looks into site-packages: `import {engine.engine}` takes "
            f"{place}" + ("" if compiled else ", which has no compiled library in it")
        ),
        evidence=(f"installed: {engine.root or 'nowhere'}", f"imported from there: {place}"),
        remedy=Remedy(
            text=(
                "run from another directory, or with python -P (3.11 and later), which leaves the working directory out"
                if here
                else "take the folder out of PYTHONPATH"
            ),
        ),
    )


CHECK = Check(
    code="MP110",
    title="A local folder shadows the engine",
    promise="The working directory or PYTHONPATH has a package of the engine's name, and Python finds that first.",
    explanation=(
        "Looked for in the working directory and in the folders of PYTHONPATH, as they are for the doctor itself. A "
        "source checkout of an engine is the usual one: its Python files are imported without the compiled libraries "
        "of the installed wheel. A folder without `__init__.py` shadows nothing, since an installed package wins over "
        "it, and neither does the folder of an editable installation. It is an error when the code that was asked "
        "about with `--code` imports the engine, else a warning."
    ),
    example="In a clone of vLLM, `python -c 'import vllm._C'` ends in `No module named 'vllm._C'`.",
    cure="Change the directory, use `python -P`, or unset PYTHONPATH.",
    find=_find,
)
