"""A wheel file on a disk, named like a release on an index."""

from __future__ import annotations

__all__ = ["is_wheel_path", "release_of_file"]

import hashlib
from pathlib import Path

from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from mixprec_doctor.index.choosing import running_target
from mixprec_doctor.index.errors import InvalidRequirement
from mixprec_doctor.records.release import Release, ReleaseFile
from mixprec_doctor.source.wheels import open_wheel

_BLOCK = 1 << 20


def is_wheel_path(requirement: str) -> bool:
    """Whether what stands where a requirement may stand names a wheel file."""
    return requirement.endswith(".whl")


def release_of_file(path: Path) -> Release:
    """The release that a wheel file holds, as its name says, or its metadata; its hash stands for its contents."""
    try:
        digest = _digest(path)
    except OSError as fault:
        raise InvalidRequirement(str(path), fault.strerror or str(fault)) from None
    name, version, tags = _named(path) or _described(path)
    file = ReleaseFile(
        distribution=canonicalize_name(name),
        version=version,
        filename=path.name,
        url=path.absolute().as_uri(),
        sha256=digest,
        size=path.stat().st_size,
    )
    fits = any(tag in running_target().ranks for tag in tags)
    return Release(distribution=file.distribution, version=file.version, file=file, fits=fits)


def _named(path: Path) -> tuple[str, str, frozenset[Tag]] | None:
    """Name, version and tags as the file's name has them; None for a name that is not a wheel's."""
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        return None
    return name, str(version), tags


def _described(path: Path) -> tuple[str, str, frozenset[Tag]]:
    """Name, version and tags as the wheel's own metadata has them."""
    wheel = open_wheel(path)
    try:
        found = wheel.distribution
        tags = frozenset(tag for text in found.tags for tag in parse_tag(text))
        return found.name, found.version or "0", tags
    finally:
        wheel.close()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
