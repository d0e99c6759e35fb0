"""Read an environment from outside: its folders, ``.pth`` files, editable finders and distributions."""

from __future__ import annotations

__all__ = ["read_environment"]

from pathlib import Path

from mixprec_doctor.environment.interpreter import Portrait, ask_interpreter, own_portrait, portrait_beside
from mixprec_doctor.environment.metadata import read_folder
from mixprec_doctor.environment.pathfiles import read_path_files
from mixprec_doctor.environment.target import NoSuchTarget, Target, UnreadableEnvironment
from mixprec_doctor.records.environment import DeadPath, Distribution, Editable, Environment, Leftover


def read_environment(target: Target | None = None) -> Environment:
    """The environment that the target names; by default that of the running interpreter."""
    return _survey(_portray(target or Target()))


def _portray(target: Target) -> Portrait:
    if target.python is not None:
        return ask_interpreter(_executable(target.python))
    if target.site_packages is not None:
        return portrait_beside(_site_packages(target.site_packages))
    return own_portrait()


def _executable(path: Path) -> Path:
    """The interpreter itself; the folder of a virtual environment stands for its own."""
    path = path.expanduser()
    if path.is_dir():
        for inside in ("bin/python", "bin/python3", "Scripts/python.exe"):
            if (path / inside).exists():
                return (path / inside).absolute()
        raise NoSuchTarget(str(path), "a folder without bin/python; --python takes an interpreter")
    if not path.exists():
        raise NoSuchTarget(str(path), "no such interpreter")
    return path.absolute()  # not resolved: the link inside a virtual environment is what makes it one


def _site_packages(path: Path) -> Path:
    path = path.expanduser().absolute()
    if not path.is_dir():
        raise NoSuchTarget(str(path), "no such folder")
    inside = sorted(path.glob("lib/python3*/site-packages"))
    if inside and not any(path.glob("*.dist-info")):
        return inside[-1]  # the folder of a virtual or conda environment stands for its packages
    if (path / "pyvenv.cfg").is_file():
        raise UnreadableEnvironment(str(path), "a virtual environment without lib/python*/site-packages")
    return path


def _survey(portrait: Portrait) -> Environment:
    folders = [Path(folder) for folder in portrait.site if Path(folder).is_dir()]
    if not folders:
        raise UnreadableEnvironment(
            portrait.interpreter.executable or "the environment",
            f"none of its site folders exists ({', '.join(portrait.site) or 'it names none'})",
        )
    paths: dict[Path, None] = {}
    seen: set[Path] = set()
    editables: list[Editable] = []
    dead: list[DeadPath] = []
    for folder in folders:
        if (real := folder.resolve()) in seen:  # lib64 is often a link to lib
            continue
        seen.add(real)
        paths[folder] = None
        for path_file in read_path_files(folder):
            editables += path_file.editables
            dead += path_file.dead
            for added in map(Path, path_file.folders):
                if (real := added.resolve()) not in seen:
                    seen.add(real)
                    paths[added] = None
    distributions: list[Distribution] = []
    leftovers: list[Leftover] = []
    for path in paths:
        found, left = read_folder(path)
        distributions += found
        leftovers += left
    return Environment(
        interpreter=portrait.interpreter,
        prefix=portrait.prefix,
        stdlib=portrait.stdlib,
        site_paths=tuple(str(path) for path in paths),
        distributions=tuple(distributions),
        editables=tuple(editables),
        leftovers=tuple(leftovers),
        dead_paths=tuple(dead),
    )
