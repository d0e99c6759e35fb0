"""Wheels: the trees of a wheel's packages, whether it is a file or lies on an index."""

from __future__ import annotations

__all__ = ["Archive", "UnreadableWheel", "Wheel", "WheelTree", "ZipArchive", "is_readable", "open_wheel", "refusal"]

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Protocol

from mixprec_doctor.environment.metadata import parse_entry_points, parse_headers
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.kept import kept
from mixprec_doctor.records.environment import Distribution

_MOST_BYTES = 16 * 2**20
# Deflate cannot exceed about 1032; source text stays far below a tenth of that.
_MOST_RATIO = 200
_SMALL = 2**16  # below it no ratio is dangerous
# What zipfile raises for broken, encrypted and unknown things.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)
_DATA = re.compile(r"[^/]+\.data/(?:purelib|platlib)/")
_METADATA = re.compile(r"[^/]+\.dist-info/(?:METADATA|WHEEL|entry_points\.txt)")
_EXTENSION = re.compile(r"\.(?:cpython-[\w-]+|cp\d+-[\w-]+|abi3|pypy[\w-]+)?\.?(?:so|pyd)$")


class UnreadableWheel(MixprecError):
    """A wheel, or a file in it, is broken or not to be trusted."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, place: str, fault: str) -> None:
        super().__init__(place, fault)
        self.place = place
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.place} cannot be read: {self.fault}\n  try: download the wheel again, or another release"


class Archive(Protocol):
    """The files of a wheel under the paths that they are installed to. Only readable ones give their contents."""

    @property
    def place(self) -> str:
        """What is shown as where it lies."""

    def names(self) -> Sequence[str]:
        """Every file of the wheel."""

    def read(self, path: str) -> bytes | None:
        """A file's contents; None when it is not there or not one that is read."""

    def prefetch(self, paths: Iterable[str]) -> None:
        """Have these files at hand, with as little traffic as can be."""

    def close(self) -> None:
        """Let go of files and connections."""


class ZipArchive:
    """An archive over a zip file that can be sought in, wherever its bytes come from."""

    def __init__(self, zipped: zipfile.ZipFile, place: str) -> None:
        self._zip = zipped
        self._lock = Lock()
        self._place = place
        self.everything = tuple(zipped.infolist())
        self.members: Mapping[str, zipfile.ZipInfo] = dict(_members(self.everything))

    @property
    def place(self) -> str:
        """The path of the file."""
        return self._place

    def names(self) -> Sequence[str]:
        """Every file of the wheel."""
        return tuple(self.members)

    def read(self, path: str) -> bytes | None:
        """A file's contents, their checksum verified; what would burst the memory is refused."""
        info = self.members.get(path)
        if info is None or not is_readable(path):
            return None
        if reason := refusal(info):
            raise UnreadableWheel(f"{path} of {self._place}", reason)
        try:
            with self._lock:
                return self._zip.read(info)
        except _BROKEN as fault:
            raise UnreadableWheel(f"{path} of {self._place}", str(fault) or type(fault).__name__) from fault

    def prefetch(self, paths: Iterable[str]) -> None:
        """Nothing: the file is at hand."""

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


class WheelTree:
    """One import package of a wheel, as it would lie in site-packages."""

    def __init__(self, archive: Archive, package: str, folders: Mapping[str, tuple[str, ...]]) -> None:
        self._archive = archive
        self._package = package
        self._folders = folders
        self._walks: dict[str, tuple[str, ...]] = {}

    @property
    def package(self) -> str:
        """The import package."""
        return self._package

    def has(self, path: str) -> bool:
        """Whether there is a file or folder of that path."""
        folder, slash, name = path.rpartition("/")
        return name in self.list(folder) if slash else path in (self._package, f"{self._package}.py")

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None when there is none. Only Python source is read."""
        return self._archive.read(path) if self._owns(path) else None

    def list(self, folder: str) -> tuple[str, ...]:
        """Names of what lies directly in a folder."""
        return self._folders.get(folder, ()) if self._owns(folder) else ()

    def walk(self, folder: str) -> Sequence[str]:
        """Every ``.py`` file below a folder, sorted; walked once."""
        if folder not in self._walks:
            self._walks[folder] = tuple(sorted(self._walk(folder)))
        return self._walks[folder]

    def prefetch(self, paths: Iterable[str]) -> None:
        """Have these files at hand; from an index they come in a few requests."""
        self._archive.prefetch([path for path in paths if self._owns(path)])

    def _walk(self, folder: str) -> Iterator[str]:
        for name in self.list(folder):
            path = f"{folder}/{name}"
            if path in self._folders:
                yield from self._walk(path)
            elif name.endswith(".py"):
                yield path

    def _owns(self, path: str) -> bool:
        first, _, rest = path.partition("/")
        return first == self._package or (not rest and first == f"{self._package}.py")


class Wheel:
    """An opened wheel: its trees and what it says of itself. ``tree`` is what ``Sources`` asks for packages."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._trees: dict[str, WheelTree] = {}

    def tree(self, package: str) -> WheelTree | None:
        """The tree of a top-level package or module with source; None when the wheel has none of that name."""
        if package not in self._trees:
            top = self._folders.get("", ())
            if not (package in self._folders or f"{package}.py" in top):
                return None
            self._trees[package] = WheelTree(self.archive, package, self._folders)
        return self._trees[package]

    @kept
    def packages(self) -> tuple[str, ...]:
        """Regular import packages and modules at the top level."""
        return tuple(sorted(set(self._packages())))

    @kept
    def namespaces(self) -> tuple[str, ...]:
        """Top-level folders without ``__init__`` that an import could still name."""
        return tuple(
            name for name in self._folders.get("", ())
            if name in self._folders and name.isidentifier() and name not in self.packages
        )  # fmt: skip

    @kept
    def distribution(self) -> Distribution:
        """What the wheel's metadata says, in the shape of an installed distribution's."""
        folder = next((name for name in self._folders.get("", ()) if name.endswith(".dist-info")), None)
        wanted = [f"{folder}/{name}" for name in ("METADATA", "WHEEL", "entry_points.txt")] if folder else []
        self.archive.prefetch(wanted)
        raw, tags, points = [self.archive.read(path) for path in wanted] or [None, None, None]
        headers = parse_headers(raw or b"")
        first = dict(reversed(headers))
        stem = (folder or "").removesuffix(".dist-info").partition("-")
        return Distribution(
            name=first.get("name") or stem[0],
            version=first.get("version") or stem[2] or None,
            location=self.archive.place,
            metadata=f"{self.archive.place}/{folder}" if folder else self.archive.place,
            packages=self.packages,
            namespaces=self.namespaces,
            requires=tuple(value for key, value in headers if key == "requires-dist"),
            requires_python=first.get("requires-python"),
            entry_points=tuple(parse_entry_points(points or b"")),
            tags=tuple(value for key, value in parse_headers(tags or b"") if key == "tag"),
            faults=() if raw is not None else ("METADATA is missing",),
        )

    def close(self) -> None:
        """Let go of files and connections."""
        self.archive.close()

    def __enter__(self) -> Wheel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @kept
    def _folders(self) -> Mapping[str, tuple[str, ...]]:
        folders: dict[str, set[str]] = {}
        for path in self.archive.names():
            inner = path
            while inner:
                inner, _, name = inner.rpartition("/")
                names = folders.setdefault(inner, set())
                if name in names:
                    break
                names.add(name)
        return {folder: tuple(sorted(names)) for folder, names in folders.items()}

    def _packages(self) -> Iterator[str]:
        for name in self._folders.get("", ()):
            if name in self._folders:
                if name.isidentifier() and any(each.startswith("__init__.") for each in self._folders[name]):
                    yield name
            elif (module := _EXTENSION.sub("", name.removesuffix(".py"))) != name and module.isidentifier():
                yield module


def open_wheel(path: Path) -> Wheel:
    """A wheel file of this machine."""
    try:
        zipped = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as fault:
        raise UnreadableWheel(str(path), getattr(fault, "strerror", None) or str(fault)) from fault
    return Wheel(ZipArchive(zipped, str(path)))


def is_readable(path: str) -> bool:
    """Whether a file of a wheel is one that mixprec ever reads: source, and the wheel's own metadata."""
    return path.endswith(".py") or _METADATA.fullmatch(path) is not None


def refusal(info: zipfile.ZipInfo) -> str | None:
    """Why a file is not unpacked; None when it may be."""
    if (size := max(info.file_size, info.compress_size)) > _MOST_BYTES:
        return f"{size} bytes, more than {_MOST_BYTES}"
    if info.file_size > _SMALL and info.file_size > _MOST_RATIO * max(info.compress_size, 1):
        return f"{info.compress_size} bytes that claim to be {info.file_size}"
    return None


def _members(everything: Iterable[zipfile.ZipInfo]) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Files by the path that they are installed to; what would leave the folder is left out."""
    for info in everything:
        path = _DATA.sub("", info.filename, count=1) if _DATA.match(info.filename) else info.filename
        parts = path.split("/")
        if not info.is_dir() and "\\" not in path and ":" not in parts[0] and not {"", ".", ".."} & set(parts):
            yield path, info
