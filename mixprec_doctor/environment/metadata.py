"""Installed distributions, read directly from their metadata folders."""

from __future__ import annotations

__all__ = ["parse_entry_points", "parse_headers", "read_distribution", "read_folder"]

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from mixprec_doctor.files import LARGEST_LIST, read_start
from mixprec_doctor.records.environment import Distribution, EntryPoint, Leftover

_LISTS = frozenset({"RECORD", "installed-files.txt"})
_LARGEST_TEXT = 2**20  # headers come first: what a longer file has to say stands there

_EXTENSION = re.compile(r"\.(?:cpython-[\w-]+|abi3|pypy[\w-]+)?\.?(?:so|pyd)$")


def read_folder(site_packages: Path) -> tuple[list[Distribution], list[Leftover]]:
    """Every distribution of one folder, by name, and what interrupted installations left in it."""
    try:
        names = sorted(os.listdir(site_packages))  # noqa: PTH208  names are all we want, and quickly
    except OSError:
        return [], []
    found: list[Distribution] = []
    leftovers: list[Leftover] = []
    for name in names:
        path = site_packages / name
        if name.startswith("~"):
            leftovers.append(
                Leftover(path=str(path), reason="pip moved it aside for an uninstallation that never ended")
            )
        elif name.endswith((".dist-info", ".egg-info")):
            found.append(read_distribution(path))
    return found, leftovers


def read_distribution(metadata: Path) -> Distribution:
    """One distribution from its ``.dist-info`` or ``.egg-info``; what is broken becomes a fault."""
    stem = metadata.name.rpartition(".")[0]
    named = stem.partition("-")[0]
    faults: list[str] = []
    headers: list[tuple[str, str]] = []
    if metadata.is_file():
        header_file = metadata
    else:
        header_file = metadata / ("METADATA" if metadata.name.endswith(".dist-info") else "PKG-INFO")
    raw = _read(header_file)
    if raw is None:
        faults.append(f"{header_file.name} is missing")
    else:
        headers = parse_headers(raw)
    name = _first(headers, "name")
    version = _first(headers, "version")
    if raw is not None and not name:
        faults.append(f"{header_file.name} has no Name")
    if raw is not None and not version:
        faults.append(f"{header_file.name} has no Version")
    record = _read(metadata / "RECORD")
    packages, namespaces = _owned(metadata, record)
    editable = _editable(metadata)
    if metadata.name.endswith(".dist-info") and record is None:
        faults.append("RECORD is missing")
    return Distribution(
        name=name or named,
        version=version or None,
        location=str(metadata.parent),
        metadata=str(metadata),
        packages=packages,
        namespaces=namespaces,
        requires=tuple(value for key, value in headers if key == "requires-dist"),
        requires_python=_first(headers, "requires-python"),
        entry_points=tuple(parse_entry_points(_read(metadata / "entry_points.txt") or b"")),
        tags=tuple(value for key, value in parse_headers(_read(metadata / "WHEEL") or b"") if key == "tag"),
        editable=editable,
        faults=tuple(faults),
    )


def parse_headers(raw: bytes) -> list[tuple[str, str]]:
    """The headers of a metadata file, keys in lower case; the description after them is left alone."""
    head = re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0].decode("utf-8", errors="replace")
    headers: list[tuple[str, str]] = []
    for line in head.split("\n"):
        if line[:1] in (" ", "\t") and headers:
            key, value = headers[-1]
            headers[-1] = (key, f"{value}\n{line.strip()}")
            continue
        key, colon, value = line.partition(":")
        if colon:
            headers.append((key.strip().lower(), value.strip()))
    return headers


def _owned(metadata: Path, record: bytes | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Regular packages and modules, and namespace folders, that the distribution's own lists name."""
    record = record or _read(metadata / "installed-files.txt")
    if record is None:
        listed = (_read(metadata / "top_level.txt") or b"").decode("utf-8", errors="replace").split()
        return tuple(sorted(set(listed))), ()
    packages: set[str] = set()
    namespaces: set[str] = set()
    record = b"\n" + record.replace(b"\\", b"/")  # as in the lists of some Windows wheels
    for head in {line.partition(b"/")[0] for line in record.splitlines()}:
        path, comma, _ = head.strip(b'"').partition(b",")
        name = path.decode("utf-8", errors="replace")
        if comma:  # a file at the top level
            module = name.removesuffix(".py") if name.endswith(".py") else _EXTENSION.sub("", name)
            if module != name:
                packages.add(module)
        elif name != "__pycache__" and name.isidentifier():
            regular = b"\n" + head + b"/__init__."
            (packages if regular in record else namespaces).add(name)
    return tuple(sorted(filter(str.isidentifier, packages))), tuple(sorted(namespaces))


def parse_entry_points(raw: bytes) -> Iterable[EntryPoint]:
    """The entry points of an ``entry_points.txt``, in its order."""
    group = ""
    for line in raw.decode("utf-8", errors="replace").splitlines():
        text = line.strip()
        if text.startswith("[") and text.endswith("]"):
            group = text[1:-1].strip()
        elif text and not text.startswith(("#", ";")):
            name, equals, value = text.partition("=")
            if equals:
                yield EntryPoint(group=group, name=name.strip(), value=value.strip())


def _editable(metadata: Path) -> str | None:
    """The source folder that direct_url.json of an editable installation names."""
    raw = _read(metadata / "direct_url.json")
    if raw is None:
        return None
    try:
        document = json.loads(raw)
        url = document["url"]
        if document["dir_info"]["editable"] is True and url.startswith("file://"):
            return str(url).removeprefix("file://")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return None


def _first(headers: list[tuple[str, str]], key: str) -> str | None:
    return next((value for name, value in headers if name == key), None)


def _read(path: Path) -> bytes | None:
    return read_start(path, most=LARGEST_LIST if path.name in _LISTS else _LARGEST_TEXT)
