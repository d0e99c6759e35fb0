"""Choosing: which file of a release pip would take for an interpreter, and which is nearest when it would take none."""

from __future__ import annotations

__all__ = ["WheelTarget", "choose_file", "running_target"]

import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, sys_tags
from packaging.utils import BuildTag, parse_wheel_filename
from packaging.version import Version

from mixprec_doctor.records.release import ReleaseFile

_PYTHON = re.compile(r"[a-z]+(\d)(\d*)")


@dataclass(frozen=True, kw_only=True)
class WheelTarget:
    """The interpreter that a wheel is chosen for."""

    tags: tuple[Tag, ...]  # the best first
    python: str  # its version, e.g. "3.11.7"

    @cached_property
    def ranks(self) -> dict[Tag, int]:
        """The place of each tag."""
        return {tag: rank for rank, tag in reversed(list(enumerate(self.tags)))}


@lru_cache(maxsize=1)
def running_target() -> WheelTarget:
    """The interpreter that runs this."""
    return WheelTarget(tags=tuple(sys_tags()), python=platform.python_version())


def choose_file(
    files: Iterable[ReleaseFile], target: WheelTarget, *, yanked: bool = False
) -> tuple[ReleaseFile, bool] | None:
    """The file of one version that pip would take, and whether it fits; None when all were withdrawn.

    ``files`` come in pip's order of indexes, of equals the last wins. ``yanked`` allows withdrawn files where
    there are no others.
    """
    every = list(files)
    standing = [file for file in every if not file.yanked] or (every if yanked else [])
    wheels = [file for file in standing if file.is_wheel]
    fitting = [file for file in wheels if _rank(file, target) is not None and _allows(file, target)]
    if fitting:
        return _last_best(fitting, [(-(_rank(file, target) or 0), _build(file)) for file in fitting]), True
    if wheels:
        return _last_best(wheels, [(*_nearness(file, target), _build(file)) for file in wheels]), False
    return (standing[-1], False) if standing else None


def _last_best(files: Sequence[ReleaseFile], keys: Sequence[tuple[object, ...]]) -> ReleaseFile:
    order = sorted(range(len(files)), key=lambda index: keys[index])
    return files[order[-1]]


def _rank(file: ReleaseFile, target: WheelTarget) -> int | None:
    return min((target.ranks[tag] for tag in _tags(file.filename) if tag in target.ranks), default=None)


def _allows(file: ReleaseFile, target: WheelTarget) -> bool:
    """Whether Requires-Python lets the interpreter in; what is not valid is ignored, as pip does."""
    try:
        wanted = SpecifierSet(file.requires_python or "")
    except InvalidSpecifier:
        return True
    return wanted.contains(target.python, prereleases=True)


def _nearness(file: ReleaseFile, target: WheelTarget) -> tuple[int, int, int]:
    """Larger is nearer: the platform first, then the same or the lowest newer Python, then the highest older."""
    tags = _tags(file.filename)
    platform_rank = min(_platform_rank(tag.platform) for tag in tags)
    own = Version(target.python)
    newer, distance = min(_python_distance(tag, (own.major, own.minor)) for tag in tags)
    return -platform_rank, -newer, -distance


def _platform_rank(name: str) -> int:
    if name == "any":
        return 0
    if "linux" not in name:
        return 3
    return 1 if name.endswith("x86_64") else 2


def _python_distance(tag: Tag, own: tuple[int, int]) -> tuple[int, int]:
    """Whether the tag is for an older Python, and how many minor versions it is away."""
    match = _PYTHON.match(tag.interpreter)
    major, minor = (int(match[1]), int(match[2] or 0)) if match else own
    away = (major - own[0]) * 100 + minor - own[1]
    if away <= 0 and (tag.abi in ("abi3", "none") or away == 0):
        return 0, 0
    return int(away < 0), abs(away)


@lru_cache(maxsize=4096)
def _parsed(filename: str) -> tuple[BuildTag, frozenset[Tag]]:
    return parse_wheel_filename(filename)[2:]


def _build(file: ReleaseFile) -> BuildTag:
    return _parsed(file.filename)[0]


def _tags(filename: str) -> frozenset[Tag]:
    return _parsed(filename)[1]
