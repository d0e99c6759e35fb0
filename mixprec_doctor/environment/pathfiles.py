"""``.pth`` files and editable finders, read as text: what the interpreter would execute, we only parse."""

from __future__ import annotations

__all__ = ["PathFile", "read_path_file", "read_path_files"]

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.files import LARGEST_SOURCE, read_file
from mixprec_doctor.records.environment import DeadPath, Editable

_LARGEST = 2**20
_IMPORTED = re.compile(r"import[ \t]+(__editable__\w+|_\w+)")


@dataclass(frozen=True, kw_only=True)
class PathFile:
    """What one ``.pth`` file adds."""

    folders: tuple[str, ...] = ()
    editables: tuple[Editable, ...] = ()
    dead: tuple[DeadPath, ...] = ()


def read_path_files(site_packages: Path) -> tuple[PathFile, ...]:
    """Every ``.pth`` file of a folder, in the order in which the interpreter reads them."""
    try:
        files = sorted(site_packages.glob("*.pth"))
    except OSError:
        return ()
    return tuple(read_path_file(file) for file in files if not file.name.startswith("."))


def read_path_file(file: Path) -> PathFile:
    """The folders that a ``.pth`` file adds and the packages that the finder it imports maps."""
    content = read_file(file, most=_LARGEST)
    if content is None:
        return PathFile()
    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    folders: list[str] = []
    editables: list[Editable] = []
    dead: list[DeadPath] = []
    for line in (each.rstrip() for each in lines):
        if not line or line.startswith("#") or "\0" in line:
            continue
        if line.startswith(("import ", "import\t")):
            named = _IMPORTED.match(line)
            editables += _read_finder(file.parent / f"{named[1]}.py") if named else []
            continue
        folder = file.parent / line
        if folder.is_dir():
            folders.append(str(folder))
        elif not folder.exists():
            dead.append(DeadPath(file=str(file), path=str(folder)))
    return PathFile(folders=tuple(folders), editables=tuple(editables), dead=tuple(dead))


def _read_finder(file: Path) -> list[Editable]:
    """The literal ``MAPPING`` of a finder module that setuptools wrote."""
    try:
        module = ast.parse(read_file(file, most=LARGEST_SOURCE) or b"")
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    for statement in module.body:
        if isinstance(statement, ast.AnnAssign):
            target: ast.expr = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        else:
            continue
        if isinstance(target, ast.Name) and target.id == "MAPPING" and statement.value is not None:
            return _entries(statement.value, file)
    return []


def _entries(value: ast.expr, file: Path) -> list[Editable]:
    try:
        mapping = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return []
    if not isinstance(mapping, Mapping):
        return []
    return [
        Editable(package=package, path=path, finder=str(file))
        for package, path in mapping.items()
        if isinstance(package, str) and isinstance(path, str)
    ]
