"""MP110: something on the way to an import hides what is installed or what belongs to Python."""

from __future__ import annotations

__all__ = ["CHECK"]

import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.pins import reached_packages
from mixprec_doctor.environment.engines import ENGINES, locate_package
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.resolving.reach import library_reach

# What every interpreter has imported before it looks into the working directory.
_LOADED = frozenset(sys.builtin_module_names) | {
    "_collections_abc", "_sitebuiltins", "abc", "codecs", "encodings", "genericpath", "importlib", "io", "ntpath",
    "os", "posixpath", "site", "stat", "zipimport",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Shadow:
    """A module or package that Python finds before another of its name."""

    name: str
    place: Path
    folder: Path
    hidden: str  # what it hides


def _find(patient: Patient) -> Iterator[Finding]:
    seen: set[str] = set()
    for folder in _folders(patient):
        for name, place in _offered(folder):
            if name not in seen and (hidden := _hidden(name, place, folder, patient)) is not None:
                seen.add(name)  # the first on the path wins
                severity = _severity(name, patient)
                if severity is not None:
                    shadow = _Shadow(name=name, place=place, folder=folder, hidden=hidden)
                    yield _finding(shadow, patient, severity=severity)


def _folders(patient: Patient) -> tuple[Path, ...]:
    """What Python looks into first; for a script that is its own folder in place of the working directory."""
    folders = [Path(each) for each in patient.import_folders]
    script = Path(patient.code.place) if patient.code is not None and patient.code.place.endswith(".py") else None
    if script is not None:
        folders = [script.absolute().parent, *(each for each in folders if each.resolve() != Path.cwd())]
    installed = {os.path.realpath(each) for each in patient.environment.site_paths}
    return tuple(each for each in folders if os.path.realpath(each) not in installed)


def _offered(folder: Path) -> Iterator[tuple[str, Path]]:
    """The modules and regular packages of a folder; one without ``__init__`` hides nothing."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.endswith(".py") and entry.name[:-3].isidentifier():
            yield entry.name[:-3], Path(entry.path)
        elif entry.name.isidentifier() and (Path(entry.path) / "__init__.py").is_file():
            yield entry.name, Path(entry.path)


def _hidden(name: str, place: Path, folder: Path, patient: Patient) -> str | None:
    """What Python would have found without it; None when that is nothing or the very same."""
    if name in sys.stdlib_module_names:
        early = name in _LOADED or name == "__main__"
        return None if early else "a module of Python's own library"
    installed = locate_package(patient.environment, name)
    engine = patient.engine(name)
    if installed is None and engine is None:
        return None
    if installed is not None and installed.resolve() == place.resolve():
        return None
    return str(installed) if installed is not None else "nothing that is there"


def _severity(name: str, patient: Patient) -> Severity | None:
    """By who imports it: what nobody here asks for is left alone, but for Python's own library."""
    grave = Severity.WARNING if patient.code is None else Severity.ERROR
    asked = patient.code.packages() if patient.code is not None else set()
    if name in ENGINES:
        return Severity.ERROR if name in asked else Severity.WARNING
    reached = reached_packages(patient) | asked
    if name in reached:
        return grave
    if name not in sys.stdlib_module_names:
        return None
    library = Path(patient.environment.stdlib or sysconfig.get_path("stdlib"))
    return grave if name in library_reach(library, reached) else Severity.INFO


def _finding(shadow: _Shadow, patient: Patient, *, severity: Severity) -> Finding:
    here = shadow.folder.resolve() == Path.cwd()
    where = "the working directory" if here else "a folder on PYTHONPATH"
    if patient.code is not None and shadow.folder.resolve() == Path(patient.code.place).absolute().parent.resolve():
        where = where if here else "the script's own folder"
    engine = shadow.name if shadow.name in ENGINES else None
    compiled = engine is None or (shadow.place.is_dir() and any(shadow.place.rglob("*.so")))
    rename = "" if engine else f"rename {shadow.place.name}, or "
    served = tuple(each.engine for each in patient.engines if each.engine != "torch")
    return Finding(
        code="MP110",
        severity=severity,
        engine=engine,
        summary=f"{where} has a {shadow.name} of its own, which shadows "
        + ("the installed one" if shadow.name not in sys.stdlib_module_names else "that of Python's library"),
        cause=(
            f"Python looks into {shadow.folder} before it looks elsewhere: `import {shadow.name}` takes "
            f"{shadow.place}" + ("" if compiled else ", which has no compiled library in it")
        ),
        evidence=(f"hidden: {shadow.hidden}", f"imported from there: {shadow.place}"),
        remedy=Remedy(
            text=rename
            + (
                "run from another directory, or with python -P (3.11 and later), which leaves the working directory out"
                if where != "a folder on PYTHONPATH"
                else "take the folder out of PYTHONPATH"
            ),
        ),
        subjects=(shadow.name,) if engine else (shadow.name, *served),
    )


CHECK = Check(
    code="MP110",
    title="A local file or folder shadows the engine or what it imports",
    promise="The working directory or PYTHONPATH has a module of a name that Python should find elsewhere.",
    explanation=(
        "Looked for in the working directory (with `--code @FILE.py` in the script's own folder) and in the folders of "
        "PYTHONPATH, as they are for the doctor itself: a package or module named like an engine, like a package that "
        "the engine's modules import when it starts, or like a module of Python's library. A source checkout of an "
        "engine is the usual one: its Python files are imported without the compiled libraries of the installed wheel. "
        "A folder without `__init__.py` shadows nothing, since an installed package wins over it, and neither does the "
        "folder of an editable installation. It is an error when the code that was asked about with `--code` imports "
        "it, else a warning; what nobody here imports is left alone."
    ),
    example="In a clone of vLLM, `python -c 'import vllm._C'` ends in `No module named 'vllm._C'`; or a ./types.py.",
    cure="Rename the file, change the directory, use `python -P`, or unset PYTHONPATH.",
    find=_find,
    explains=("MP203", "MP204", "MP302"),
)
