"""Symbols: what a library takes from others, and whether one offers a name, found by its own hash table.

A library such as libtorch_cpu defines a hundred thousand symbols. They are never listed: a name is looked up the way
the loader does, by the GNU hash table (or the older one of the ELF standard).
"""

from __future__ import annotations

__all__ = ["SymbolTable", "gnu_hash"]

import struct
from functools import lru_cache

from mixprec_doctor.binaries.image import Damaged, Image, Tag

_MOST_UNDEFINED = 200_000
_MOST_STEPS = 4096  # along one chain of a hash table
_GLOBAL, _WEAK, _UNIQUE = 1, 2, 10
_VERSION_BITS = 0x7FFF


@lru_cache(maxsize=65536)
def gnu_hash(name: bytes) -> int:
    """The hash that DT_GNU_HASH tables are made with."""
    value = 5381
    for byte in name:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


class SymbolTable:
    """The dynamic symbols of one image."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._symbols = image.table(Tag.SYMTAB)
        self._strings = image.table(Tag.STRTAB)
        self._wide = image.bits == 64
        self._size = 24 if self._wide else 16
        self._gnu = image.table(Tag.GNU_HASH)
        self._old = image.table(Tag.HASH) if self._gnu is None else None
        self._buckets = 0
        if self._gnu is not None:
            self._buckets, self._first, blooms, self._shift = image.unpack("4I", self._gnu)
            at = self._gnu + 16
            self._bloom = image.view(at, blooms, wide=self._wide)
            at += blooms * (8 if self._wide else 4)
            self._bucket = image.view(at, self._buckets)
            self._chain = image.view(at + 4 * self._buckets)
        elif self._old is not None:
            self._buckets, self._count = image.unpack("2I", self._old)

    def undefined(self, trusted: frozenset[int] = frozenset()) -> tuple[str, ...]:
        """Strong symbols that others must define, but for those that carry the index of a trusted version."""
        count = self._unhashed()
        if self._symbols is None or self._strings is None or not count:
            return ()
        image, found = self._image, []
        raw = image.raw(self._symbols, count * self._size)
        versions = self._versions(count)
        layout = f"{image.order}IBBHQQ" if self._wide else f"{image.order}IIIBBH"
        name_at, info_at, section_at = (0, 1, 3) if self._wide else (0, 3, 5)
        for index, fields in enumerate(struct.iter_unpack(layout, raw)):
            if fields[section_at] or fields[info_at] >> 4 != _GLOBAL or not fields[name_at]:
                continue
            if versions is None or versions[index] & _VERSION_BITS not in trusted:
                found.append(image.text(self._strings + fields[name_at]))
        return tuple(found)

    def defines(self, name: str) -> bool:
        """Whether the library offers a symbol of that name to others. A table that makes no sense offers everything."""
        word = name.encode()
        if self._symbols is None or self._strings is None:
            return False
        try:
            if self._gnu is not None:
                return self._in_gnu(word)
            return self._in_old(word) if self._old is not None else False
        except Damaged:
            return True  # nothing is known against it

    def _unhashed(self) -> int:
        """How many symbols to look at for undefined ones: the GNU table has none of these in it."""
        if self._gnu is not None:
            count = self._first if self._buckets else 0
            if self._symbols is not None and self._first > _MOST_UNDEFINED:
                raise Damaged("claims to need more symbols than any library needs")
            return count
        return min(self._count, _MOST_UNDEFINED) if self._old is not None else 0

    def _versions(self, count: int) -> tuple[int, ...] | None:
        at = self._image.table(Tag.VERSYM)
        return self._image.unpack(f"{count}H", at) if at is not None else None

    def _in_gnu(self, word: bytes) -> bool:
        if not self._buckets or not self._bloom:
            return False
        value = gnu_hash(word)
        bits = 64 if self._wide else 32
        bloom = self._bloom[(value // bits) % len(self._bloom)]
        if not (bloom >> (value % bits)) & (bloom >> ((value >> (self._shift & 31)) % bits)) & 1:
            return False
        index = self._bucket[value % self._buckets]
        if index < self._first:
            return False
        for step in range(index, index + _MOST_STEPS):
            if step - self._first >= len(self._chain):
                break
            chained = self._chain[step - self._first]
            if chained | 1 == value | 1 and self._is(step, word):
                return True
            if chained & 1:
                return False
        raise Damaged("has a hash chain without an end")

    def _in_old(self, word: bytes) -> bool:
        if not self._buckets or self._old is None:
            return False
        value = 0
        for byte in word:
            value = (value << 4) + byte
            value = (value ^ ((value >> 24) & 0xF0)) & 0x0FFFFFFF
        (index,) = self._image.unpack("I", self._old + 8 + 4 * (value % self._buckets))
        for _ in range(_MOST_STEPS):
            if not index:
                return False
            if self._is(index, word):
                return True
            (index,) = self._image.unpack("I", self._old + 8 + 4 * (self._buckets + index))
        raise Damaged("has a hash chain without an end")

    def _is(self, index: int, word: bytes) -> bool:
        """Whether the symbol has that name and a definition that others may use."""
        assert self._symbols is not None and self._strings is not None  # noqa: S101  defines() has looked
        at = self._symbols + index * self._size
        if self._wide:
            name, info, _, section = self._image.unpack("IBBH", at)
        else:
            name, _, _, info, _, section = self._image.unpack("IIIBBH", at)
        if not section or info >> 4 not in (_GLOBAL, _WEAK, _UNIQUE):
            return False
        return self._image.word(self._strings + name) == word
