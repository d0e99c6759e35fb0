"""Image: the bytes of an ELF file, and its tables found by the addresses that the loader would use.

Everything is read through a memory map, so that of a library of a gigabyte only some pages are touched. Section
headers are not used: the loader does not need them, and some tools cut them off.
"""

from __future__ import annotations

__all__ = ["Damaged", "Image", "Tag"]

import mmap
import struct
import sys
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

_MOST_SEGMENTS = 512
_MOST_TAGS = 4096
_LONGEST_NAME = 8192
_NATIVE = "<" if sys.byteorder == "little" else ">"
_LOAD, _DYNAMIC = 1, 2


class Damaged(ValueError):
    """The file contradicts itself, ends too early, or is no ELF file."""


class Tag(IntEnum):
    """Entries of the dynamic section that are read (ELF gABI, chapter 5; the GNU extensions)."""

    NEEDED = 1
    HASH = 4
    STRTAB = 5
    SYMTAB = 6
    SONAME = 14
    RPATH = 15
    RUNPATH = 29
    GNU_HASH = 0x6FFFFEF5
    VERSYM = 0x6FFFFFF0
    VERDEF = 0x6FFFFFFC
    VERDEFNUM = 0x6FFFFFFD
    VERNEED = 0x6FFFFFFE
    VERNEEDNUM = 0x6FFFFFFF


class Image:
    """An open ELF file. Whatever in it makes no sense raises Damaged."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():  # opening a pipe would wait for somebody to write to it
            raise Damaged("is not a file")
        with path.open("rb") as stream:
            self._bytes = _map(stream)
        self.size = len(self._bytes)
        head = self._bytes[:20]
        if head[:4] != b"\x7fELF":
            raise Damaged("is not an ELF file" if head else "is empty")
        if len(head) < 20 or head[4] not in (1, 2) or head[5] not in (1, 2):
            raise Damaged("has a broken ELF header")
        self.bits = 64 if head[4] == 2 else 32
        self.order = "<" if head[5] == 1 else ">"
        self.kind, self.machine = struct.unpack(f"{self.order}HH", head[16:20])
        self._loads: list[tuple[int, int, int]] = []  # address, offset, size
        self._dynamic: tuple[int, int] | None = None
        self._read_segments()
        self.tags = dict(self._read_tags())

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        """Integers at an offset, in the byte order of the file."""
        try:
            return struct.unpack_from(self.order + layout, self._bytes, offset)
        except (struct.error, ValueError) as fault:
            raise Damaged("ends before its tables do") from fault

    def raw(self, offset: int, size: int) -> bytes:
        """Bytes at an offset."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise Damaged("ends before its tables do")
        return self._bytes[offset : offset + size]

    def view(self, offset: int, count: int | None = None, *, wide: bool = False) -> memoryview:
        """Unsigned integers at an offset, of 32 bits or of 64; as many as there are, unless a count is given."""
        size = 8 if wide else 4
        if self.order != _NATIVE:
            raise Damaged("is written in the other byte order")
        room = (self.size - offset) // size
        if offset < 0 or room < 0 or (count is not None and count > room):
            raise Damaged("ends before its tables do")
        taken = room if count is None else count
        return memoryview(self._bytes)[offset : offset + taken * size].cast("Q" if wide else "I")

    def text(self, offset: int) -> str:
        """The string that begins at an offset."""
        return self.word(offset).decode("utf-8", errors="replace")

    def word(self, offset: int) -> bytes:
        """The bytes of the string that begins at an offset."""
        end = self._bytes.find(b"\0", offset, offset + _LONGEST_NAME) if 0 <= offset < self.size else -1
        if end < 0:
            raise Damaged("has a name without an end")
        return self._bytes[offset:end]

    def offset(self, address: int) -> int:
        """Where in the file lies what is loaded to an address."""
        for start, offset, size in self._loads:
            if start <= address < start + size:
                return offset + address - start
        raise Damaged("names an address that it does not fill")

    def table(self, tag: Tag) -> int | None:
        """The offset of a table that the dynamic section names."""
        found = self.tags.get(tag)
        return self.offset(found[0]) if found else None

    def names(self, tag: Tag) -> tuple[str, ...]:
        """Strings that the dynamic section names."""
        strings = self.table(Tag.STRTAB)
        return tuple(self.text(strings + each) for each in self.tags.get(tag, ())) if strings is not None else ()

    def _read_segments(self) -> None:
        if self.bits == 64:
            start, size, count = self.unpack("Q", 32)[0], *self.unpack("HH", 54)
            layout, order = "IIQQQQ", (0, 3, 2, 5)
        else:
            start, size, count = self.unpack("I", 28)[0], *self.unpack("HH", 42)
            layout, order = "IIIII", (0, 2, 1, 4)
        if count > _MOST_SEGMENTS:
            raise Damaged("claims to have more segments than any library has")
        for index in range(count):
            fields = self.unpack(layout, start + index * size)
            kind, address, offset, length = (fields[each] for each in order)
            if kind == _LOAD:
                if offset + length > self.size:
                    raise Damaged("is cut off: a segment ends behind the file")
                self._loads.append((address, offset, length))
            elif kind == _DYNAMIC:
                self._dynamic = (offset, length)

    def _read_tags(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        if self._dynamic is None:
            raise Damaged("has no dynamic section")
        offset, length = self._dynamic
        layout, size = ("qQ", 16) if self.bits == 64 else ("iI", 8)
        found: dict[int, list[int]] = {}
        for index in range(min(length // size, _MOST_TAGS)):
            tag, value = self.unpack(layout, offset + index * size)
            if tag == 0:
                break
            found.setdefault(tag & 0xFFFFFFFF, []).append(value)
        return ((tag, tuple(values)) for tag, values in found.items())


def _map(stream: BinaryIO) -> mmap.mmap | bytes:
    try:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file cannot be mapped
        return b""
