"""Conditions of the code about releases, as data; each release gives its own answer."""

from __future__ import annotations

__all__ = [
    "AnyOf",
    "AttributeTest",
    "Constant",
    "EveryOf",
    "Flag",
    "ModuleTest",
    "Not",
    "ParameterTest",
    "PythonTest",
    "Test",
    "Undecided",
    "VersionTest",
    "compare_versions",
]

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from packaging.version import InvalidVersion, Version

from mixprec_doctor.source.truth import Truth

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class VersionTest:
    """The version of a package compared with some text or numbers.

    ``how``: as a "version", as a mere "text", as a "tuple" of which only ``length`` parts count, or by its "start".
    """

    package: str
    how: Literal["version", "text", "tuple", "start"]
    operator: str
    value: str | tuple[int, ...]
    length: int | None = None
    base: bool = False  # without what follows the numbers


@dataclass(frozen=True)
class PythonTest:
    """``sys.version_info`` compared with numbers."""

    operator: str
    value: tuple[int, ...]


@dataclass(frozen=True)
class ModuleTest:
    """Whether a module is there: ``find_spec``."""

    module: str


@dataclass(frozen=True)
class AttributeTest:
    """Whether something of a package has an attribute: ``hasattr``. The targets are what it may be asked of."""

    module: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class ParameterTest:
    """Whether something of a package has a parameter: ``"x" in inspect.signature(f).parameters``."""

    module: str
    path: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class Flag:
    """A name that the code binds to constants or conditions, in the order of the source, each with its guards."""

    options: tuple[tuple[Any, bool | Test | None], ...]  # guards (of needs.py), and the value; None: not known


@dataclass(frozen=True)
class Not:
    """The opposite."""

    test: Test


@dataclass(frozen=True)
class EveryOf:
    """``and``."""

    tests: tuple[Test, ...]


@dataclass(frozen=True)
class AnyOf:
    """``or``."""

    tests: tuple[Test, ...]


@dataclass(frozen=True)
class Constant:
    """What stands there."""

    value: bool


@dataclass(frozen=True)
class Undecided:
    """A condition about versions that cannot be worked out."""

    text: str


_About = VersionTest | PythonTest | ModuleTest | AttributeTest | ParameterTest
Test: TypeAlias = _About | Flag | Not | EveryOf | AnyOf | Constant | Undecided


def compare_versions(test: VersionTest, version: str | None) -> Truth:
    """What a comparison of a package's version says for one version."""
    if version is None:
        return Truth.UNKNOWN
    try:
        own = Version(version)
        if test.how == "start":
            return Truth.of(version.startswith(str(test.value)))
        if test.how == "text":
            return Truth.of(_OPERATORS[test.operator](version, str(test.value)))
        if test.how == "tuple" or isinstance(test.value, tuple):
            wanted = tuple(test.value) if isinstance(test.value, tuple) else ()
            parts = own.release[: test.length] if test.length is not None else own.release
            return Truth.of(_OPERATORS[test.operator](parts, wanted))
        if test.base:
            own = Version(own.base_version)
        elif own.local:
            own = Version(own.public)  # which build it is says nothing of what it offers
        return Truth.of(_OPERATORS[test.operator](own, Version(test.value)))
    except InvalidVersion:
        return Truth.UNKNOWN
