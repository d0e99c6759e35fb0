"""A wheel file on a disk, named like a release on an index."""

from __future__ import annotations

__all__ = ["is_wheel_path", "release_of_file"]

import hashlib
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from mixprec_doctor.index.choosing import running_target
from mixprec_doctor.index.errors import InvalidRequirement
from mixprec_doctor.records.release import Release, ReleaseFile

_BLOCK = 1 << 20


def is_wheel_path(requirement: str) -> bool:
    """Whether what stands where a requirement may stand names a wheel file."""
    return requirement.endswith(".whl")


def release_of_file(path: Path) -> Release:
    """The release that a wheel file holds, as its name says; its hash stands for its contents."""
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
        digest = _digest(path)
    except InvalidWheelFilename as fault:
        raise InvalidRequirement(str(path), str(fault)) from None
    except OSError as fault:
        raise InvalidRequirement(str(path), fault.strerror or str(fault)) from None
    file = ReleaseFile(
        distribution=canonicalize_name(name),
        version=str(version),
        filename=path.name,
        url=path.absolute().as_uri(),
        sha256=digest,
        size=path.stat().st_size,
    )
    fits = any(tag in running_target().ranks for tag in tags)
    return Release(distribution=file.distribution, version=file.version, file=file, fits=fits)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
