"""Tree: the files of one import package, wherever they lie."""

from __future__ import annotations

__all__ = ["FolderTree", "Tree"]

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from mixprec_doctor.files import LARGEST_SOURCE, read_file

_EXTENSIONS = (".so", ".pyd")
_TAGGED = re.compile(
    r"\.(?:cpython-|cp)(\d+)t?[-.]"
)  # _core.cpython-312-x86_64-linux-gnu.so, _core.cp312-win_amd64.pyd


class Tree(Protocol):
    """The source of one import package. Paths are relative, with ``/``, and start with the package's name."""

    @property
    def package(self) -> str:
        """The import package, e.g. ``vllm``."""

    def has(self, path: str) -> bool:
        """Whether there is a file or folder of that path."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None when there is none."""

    def list(self, folder: str) -> tuple[str, ...]:
        """Names of what lies directly in a folder; empty when there is none."""

    def walk(self, folder: str) -> Sequence[str]:
        """Every ``.py`` file below a folder, sorted."""

    def prefetch(self, paths: Iterable[str]) -> None:
        """Have these files at hand: they are going to be read."""


class FolderTree:
    """A package as a folder (or a module as a file) of site-packages or of an editable source."""

    def __init__(self, place: Path, package: str | None = None) -> None:
        self._place = place
        self._package = package or place.name.removesuffix(".py")
        self._listings: dict[str, tuple[str, ...]] = {}
        self._names: dict[str, frozenset[str]] = {}  # the same, for many questions
        self._walks: dict[str, tuple[str, ...]] = {}
        self._texts: dict[str, bytes | None] = {}

    @property
    def package(self) -> str:
        """The import package."""
        return self._package

    def has(self, path: str) -> bool:
        """Whether there is a file or folder of that path."""
        folder, slash, name = path.rpartition("/")
        return name in self._in(folder) if slash else path in (self._package, f"{self._package}.py")

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None when there is none. Python source is read once."""
        if path not in self._texts:
            found = self._read(path)
            if not path.endswith(".py"):
                return found
            self._texts[path] = found
        return self._texts[path]

    def list(self, folder: str) -> tuple[str, ...]:
        """Names of what lies directly in a folder; looked up once."""
        if folder not in self._listings:
            self._listings[folder] = self._list(folder)
        return self._listings[folder]

    def walk(self, folder: str) -> Sequence[str]:
        """Every ``.py`` file below a folder, sorted; links to folders are not followed; walked once."""
        if folder not in self._walks:
            self._walks[folder] = tuple(sorted(self._walk(folder)))
        return self._walks[folder]

    def prefetch(self, paths: Iterable[str]) -> None:
        """Nothing: files of a folder are at hand."""

    def _in(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            self._names[folder] = frozenset(self.list(folder))
        return self._names[folder]

    def _list(self, folder: str) -> tuple[str, ...]:
        above, slash, name = folder.rpartition("/")
        if slash and name not in self._in(above):
            return ()  # most names that are asked for are no folders: known without a question to the system
        try:
            return tuple(sorted(os.listdir(self._real(folder))))  # noqa: PTH208
        except OSError:
            return ()

    def _read(self, path: str) -> bytes | None:
        return read_file(self._real(path), most=LARGEST_SOURCE)

    def _walk(self, folder: str) -> Iterator[str]:
        top = self._real(folder)
        for here, _, files in os.walk(top):
            inner = os.path.relpath(here, top).replace(os.sep, "/")
            prefix = folder if inner == "." else f"{folder}/{inner}"
            yield from (f"{prefix}/{name}" for name in files if name.endswith(".py"))

    def _real(self, path: str) -> str:
        first, _, rest = path.partition("/")
        if not rest:
            inside = self._place.suffix == ".py" and first == f"{self._package}.py"
            return str(self._place) if inside or first == self._package else ""
        return f"{self._place}/{rest}"


def module_files(module: str) -> tuple[str, str]:
    """The two paths that the source of a module may have: package, then plain module."""
    base = module.replace(".", "/")
    return f"{base}/__init__.py", f"{base}.py"


def has_extension(tree: Tree, module: str, python: tuple[int, ...] | None = None) -> bool:
    """Whether a compiled module of that name lies in the tree that this version of Python would see."""
    folder, _, stem = module.replace(".", "/").rpartition("/")
    return any(
        name.startswith(f"{stem}.") and name.endswith(_EXTENSIONS) and _is_for(name, python)
        for name in tree.list(folder or module)
    )


def _is_for(file: str, python: tuple[int, ...] | None) -> bool:
    tagged = _TAGGED.search(file)
    return tagged is None or python is None or len(python) < 2 or tagged[1] == f"{python[0]}{python[1]}"
