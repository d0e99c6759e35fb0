"""Reading: libraries read from their files, each once as long as the file stays the same."""

from __future__ import annotations

__all__ = ["read_library", "symbol_table", "undefined_symbols"]

import errno
import os
import re
import stat
from functools import lru_cache
from pathlib import Path

from mixprec_doctor.binaries.image import Damaged, Image, Tag
from mixprec_doctor.binaries.library import Library, Unreadable, VersionNeed
from mixprec_doctor.binaries.symbols import SymbolTable

_MOST_OPEN = 256  # files that are kept mapped, for further names to look up
_MOST_VERSIONS = 4096
_KEPT = re.compile(r"(?:libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s|libgomp|ld-linux[\w-]*)\.so\.\d+")
_WEAK = 2
_SHARED = 3  # e_type of libraries, and of executables that can lie anywhere
_EXECUTABLE = 2


def read_library(path: Path) -> Library | Unreadable:
    """The library in a file; what cannot be read is a record too, never an exception."""
    try:
        return _read(path, *_stamp(path))
    except OSError as fault:
        return Unreadable(path=path, reason=fault.strerror or str(fault))


def symbol_table(path: Path) -> SymbolTable | None:
    """The table by which names are looked up in a library; None when it cannot be read."""
    try:
        return _table(path, *_stamp(path))
    except (OSError, Damaged):
        return None


def undefined_symbols(path: Path) -> tuple[str, ...]:
    """Strong symbols that a library takes from others; empty when it cannot be read.

    Those of the C and C++ runtime are left out: they carry versions, and a runtime that has the version has them.
    """
    try:
        return _undefined(path, *_stamp(path))
    except OSError:
        return ()


def _stamp(path: Path) -> tuple[int, int]:
    facts = os.stat(path)  # noqa: PTH116  a quarter of the time, and asked for often
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "is no regular file")  # a pipe would be waited for
    return facts.st_size, facts.st_mtime_ns


@lru_cache(maxsize=4096)
def _read(path: Path, size: int, changed: int) -> Library | Unreadable:
    try:
        image = _image(path, size, changed)
        if image.kind not in (_SHARED, _EXECUTABLE):
            return Unreadable(path=path, reason="is no library that can be loaded")
        soname = image.names(Tag.SONAME)
        return Library(
            path=path,
            machine=image.machine,
            bits=image.bits,
            soname=soname[0] if soname else None,
            needed=image.names(Tag.NEEDED),
            rpath=_folders(image, Tag.RPATH),
            runpath=_folders(image, Tag.RUNPATH),
            version_needs=_version_needs(image),
            versions=_versions(image),
        )
    except Damaged as fault:
        return Unreadable(path=path, reason=str(fault))
    except OSError as fault:
        return Unreadable(path=path, reason=fault.strerror or str(fault))


@lru_cache(maxsize=1024)
def _undefined(path: Path, _size: int, _changed: int) -> tuple[str, ...]:
    library, table = read_library(path), symbol_table(path)
    if table is None or isinstance(library, Unreadable):
        return ()
    trusted = {index for need in library.version_needs if _KEPT.match(need.library) for index in need.indices}
    try:
        return table.undefined(frozenset(trusted))
    except Damaged:
        return ()


@lru_cache(maxsize=_MOST_OPEN)
def _image(path: Path, _size: int, _changed: int) -> Image:
    return Image(path)


@lru_cache(maxsize=_MOST_OPEN)
def _table(path: Path, size: int, changed: int) -> SymbolTable:
    return SymbolTable(_image(path, size, changed))


def _folders(image: Image, tag: Tag) -> tuple[str, ...]:
    return tuple(folder for text in image.names(tag) for folder in text.split(":") if folder)


def _version_needs(image: Image) -> tuple[VersionNeed, ...]:
    """The chain of Verneed entries, each with a chain of Vernaux entries (LSB, symbol versioning)."""
    at, strings = image.table(Tag.VERNEED), image.table(Tag.STRTAB)
    if at is None or strings is None:
        return ()
    needs, left = [], _MOST_VERSIONS
    for _ in range(min(image.tags.get(Tag.VERNEEDNUM, (_MOST_VERSIONS,))[0], _MOST_VERSIONS)):
        _, count, file, first, following = image.unpack("HHIII", at)
        versions, indices, inner = [], [], at + first
        for _ in range(min(count, left)):
            _, flags, index, name, onward = image.unpack("IHHII", inner)
            left -= 1
            indices.append(index & 0x7FFF)
            if not flags & _WEAK:
                versions.append(image.text(strings + name))
            if not onward:
                break
            inner += onward
        library = image.text(strings + file)
        needs.append(VersionNeed(library=library, versions=tuple(versions), indices=tuple(indices)))
        if not following or not left:
            break
        at += following
    return tuple(needs)


def _versions(image: Image) -> tuple[str, ...]:
    """The names of the Verdef entries."""
    at, strings = image.table(Tag.VERDEF), image.table(Tag.STRTAB)
    if at is None or strings is None:
        return ()
    found = []
    for _ in range(min(image.tags.get(Tag.VERDEFNUM, (_MOST_VERSIONS,))[0], _MOST_VERSIONS)):
        _, _, _, count, _, first, following = image.unpack("HHHHIII", at)
        if count:
            found.append(image.text(strings + image.unpack("I", at + first)[0]))
        if not following:
            break
        at += following
    return tuple(found)
