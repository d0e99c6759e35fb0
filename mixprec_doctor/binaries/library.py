"""Library: what an ELF file says of itself, and the words for one that cannot be read or loaded."""

from __future__ import annotations

__all__ = ["FaultKind", "Library", "LoadFault", "Unreadable", "VersionNeed", "abi_tag", "module_stem"]

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_SUFFIX = re.compile(r"\.(?:(?P<tag>cpython-[\w-]+|abi3|abi3t|pypy[\w-]+)\.)?so$")


@dataclass(frozen=True, kw_only=True)
class VersionNeed:
    """Symbol versions that a library wants of one that it needs, such as GLIBCXX_3.4.32 of libstdc++.so.6."""

    library: str
    versions: tuple[str, ...]
    indices: tuple[int, ...] = ()  # by which its symbols refer to them, weak ones included


@dataclass(frozen=True, kw_only=True)
class Library:
    """An ELF file of the dynamic kind, read without loading it."""

    path: Path
    machine: int  # e_machine: 62 is x86-64, 183 AArch64
    bits: int  # 32 or 64
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()  # as written, $ORIGIN and all; without effect where there is a runpath
    runpath: tuple[str, ...] = ()
    version_needs: tuple[VersionNeed, ...] = ()  # without those that are marked weak
    versions: tuple[str, ...] = ()  # the symbol versions that it defines itself

    @property
    def name(self) -> str:
        """The name by which a process knows it once it is loaded."""
        return self.soname or self.path.name


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A file that is no library, or a damaged one, and why."""

    path: Path
    reason: str


class FaultKind(str, Enum):
    """How loading a library fails."""

    DAMAGED = "damaged"  # cut off, or no ELF file at all
    FOREIGN = "foreign"  # made for another processor
    NO_LIBRARY = "no library"  # a needed library is nowhere
    NO_DRIVER = "no driver"  # a needed library comes with a GPU driver, which is not there
    NO_VERSION = "no version"  # the needed library is there, and too old
    NO_SYMBOL = "no symbol"  # everything is there, but not what the library was linked against


@dataclass(frozen=True, kw_only=True)
class LoadFault:
    """Why a library would not load. ``library`` is the file with the fault: the one asked about, or one it needs."""

    kind: FaultKind
    library: Path
    wanted: str  # a library's name, a symbol version, a symbol; for a damaged file what is wrong with it
    text: str  # one line for people
    provider: Path | None = None  # the library that is there and lacks what is wanted
    offered: str | None = None  # the nearest that it has: "GLIBCXX_3.4.30"
    elsewhere: Path | None = None  # what would mend it if the package opened it beforehand, as some do

    @property
    def is_certain(self) -> bool:
        """Whether nothing in the environment could mend it before the library is loaded."""
        return self.elsewhere is None


def module_stem(path: Path) -> str | None:
    """The name under which Python would import a compiled file: ``_C`` for ``_C.abi3.so``; None for other files."""
    found = _SUFFIX.search(path.name)
    stem = path.name[: found.start()] if found else ""
    return stem if stem.isidentifier() else None


def abi_tag(path: Path) -> str | None:
    """The interface that a compiled module's name announces: ``cpython-311-x86_64-linux-gnu``, ``abi3``, or None."""
    found = _SUFFIX.search(path.name)
    return found["tag"] if found else None
