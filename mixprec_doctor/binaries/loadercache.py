"""The loader's cache: which library lies where, as ``ldconfig`` noted it in ``/etc/ld.so.cache``.

The file has a head of 48 bytes (``glibc-ld.so.cache`` and ``1.1``, the number of entries, the length of the strings),
then entries of 24 bytes: flags, offset of the name, offset of the path, OS version, hardware. Offsets count from the
head. Older files have another cache before it, which is skipped (glibc, sysdeps/generic/dl-cache.h).
"""

from __future__ import annotations

__all__ = ["LOADER_CACHE", "read_loader_cache"]

import struct
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

LOADER_CACHE = Path("/etc/ld.so.cache")
_MAGIC = b"glibc-ld.so.cache1.1"
_HEAD, _ENTRY = 48, "iIIIQ"
_LARGEST = 64 * 2**20


@lru_cache(maxsize=8)
def read_loader_cache(file: Path = LOADER_CACHE) -> Mapping[str, tuple[Path, ...]]:
    """Paths by library name, the preferred first; empty where there is no such cache or it is of another kind."""
    try:
        if file.stat().st_size > _LARGEST:
            return {}
        content = file.read_bytes()
    except OSError:
        return {}
    start = content.find(_MAGIC)
    if start < 0 or len(content) < start + _HEAD:
        return {}
    content = content[start:]
    order = ">" if content[28] & 3 == 3 else "<"  # 2 is little-endian, 3 big-endian, 0 not said
    (count,) = struct.unpack_from(f"{order}I", content, len(_MAGIC))
    size = struct.calcsize(f"{order}{_ENTRY}")
    count = min(count, (len(content) - _HEAD) // size)
    found: dict[str, list[Path]] = {}
    for _, name, path, _, _ in struct.iter_unpack(f"{order}{_ENTRY}", content[_HEAD : _HEAD + count * size]):
        if word := _string(content, name):
            found.setdefault(word, []).append(Path(_string(content, path)))
    return {name: tuple(dict.fromkeys(paths)) for name, paths in found.items()}


def _string(content: bytes, offset: int) -> str:
    end = content.find(b"\0", offset)
    return content[offset:end].decode("utf-8", errors="replace") if end >= 0 else ""
