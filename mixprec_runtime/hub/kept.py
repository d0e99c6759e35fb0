"""Kept pieces of files that are not here: headers, and ranges of bytes, of shards that still lie on the Hub.

A snapshot folder of the Hub's own cache is named after its commit, so what is kept of one of its files stays true.
"""

from __future__ import annotations

__all__ = [
    "Origin",
    "RemoteShard",
    "keep_origin",
    "keep_range",
    "keep_shard",
    "origin_of",
    "range_of",
    "shard_of",
    "shards_of",
]

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mixprec_runtime.cache import cache_folder

ORIGIN = "origin.json"
SHARD = ".header"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a snapshot folder comes from: a repository, and the commit."""

    repository: str
    commit: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.commit}"


@dataclass(frozen=True, kw_only=True)
class RemoteShard:
    """The beginning of a safetensors file, its header whole, and how long the file is."""

    head: bytes
    size: int


def origin_of(folder: Path) -> Origin | None:
    """Where a snapshot folder comes from, if it was made for a plan."""
    try:
        raw = json.loads((_kept(folder) / ORIGIN).read_text(encoding="utf-8"))
        return Origin(repository=raw["repository"], commit=raw["commit"])
    except (OSError, ValueError, LookupError):
        return None


def keep_origin(folder: Path, origin: Origin) -> None:
    """Note where a snapshot folder comes from."""
    text = json.dumps({"repository": origin.repository, "commit": origin.commit})
    _write(_kept(folder) / ORIGIN, text.encode())


def shards_of(folder: Path) -> tuple[str, ...]:
    """Names of the shards of a folder whose headers are kept, in order."""
    return tuple(sorted(file.name.removesuffix(SHARD) for file in _kept(folder).glob("*" + SHARD)))


def shard_of(file: Path) -> RemoteShard | None:
    """What is kept of a shard; None when nothing is."""
    try:
        raw = (_kept(file.parent) / (file.name + SHARD)).read_bytes()
    except OSError:
        return None
    return RemoteShard(size=int.from_bytes(raw[:8], "little"), head=raw[8:])


def keep_shard(file: Path, shard: RemoteShard) -> None:
    """Keep the header of a shard."""
    _write(_kept(file.parent) / (file.name + SHARD), shard.size.to_bytes(8, "little") + shard.head)


def range_of(file: Path, begin: int, end: int) -> bytes | None:
    """Kept bytes of a file; None when they are not kept."""
    try:
        return (_kept(file.parent) / _range_name(file, begin, end)).read_bytes()
    except OSError:
        return None


def keep_range(file: Path, begin: int, data: bytes) -> None:
    """Keep some bytes of a file."""
    _write(_kept(file.parent) / _range_name(file, begin, begin + len(data)), data)


def _range_name(file: Path, begin: int, end: int) -> str:
    return f"{file.name}.{begin}-{end}"


def _kept(folder: Path) -> Path:
    return cache_folder() / "hub" / hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()[:32]


def _write(file: Path, data: bytes) -> None:
    """A reader sees the old file or the new one. What cannot be kept is fetched again."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, staging = tempfile.mkstemp(dir=file.parent, prefix=".")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            Path(staging).replace(file)
        except OSError:
            Path(staging).unlink(missing_ok=True)
            raise
