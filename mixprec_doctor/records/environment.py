"""Environment and Distribution: an interpreter and what is installed for it, as seen from outside."""

from __future__ import annotations

__all__ = [
    "DeadPath",
    "Distribution",
    "Editable",
    "EntryPoint",
    "Environment",
    "InstalledEngine",
    "Interpreter",
    "Leftover",
]

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from packaging.utils import canonicalize_name


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """An interpreter as it describes itself; None for what could not be learned without running it."""

    executable: str | None
    version: str | None  # "3.11.7"
    implementation: str | None  # "cpython"
    platform: str | None  # "linux-x86_64", as sysconfig.get_platform says
    markers: Mapping[str, str] = field(default_factory=dict)  # PEP 508 environment, as far as known

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {
            "executable": self.executable,
            "version": self.version,
            "implementation": self.implementation,
            "platform": self.platform,
        }


@dataclass(frozen=True, kw_only=True)
class EntryPoint:
    """One line of a distribution's entry_points.txt."""

    group: str
    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """An installed distribution, read from its metadata folder."""

    name: str
    version: str | None  # None: the metadata does not say
    location: str  # the folder of site-packages that holds it
    metadata: str  # its .dist-info or .egg-info, as a path
    packages: tuple[str, ...] = ()  # regular import packages and modules at the top level
    namespaces: tuple[str, ...] = ()  # top-level folders without __init__, which many may share
    requires: tuple[str, ...] = ()  # Requires-Dist, as written
    requires_python: str | None = None
    entry_points: tuple[EntryPoint, ...] = ()
    tags: tuple[str, ...] = ()  # Tag lines of its WHEEL file
    editable: str | None = None  # the source folder of an editable installation
    faults: tuple[str, ...] = ()  # what is wrong with the metadata

    @property
    def key(self) -> str:
        """The normalized name (PEP 503)."""
        return canonicalize_name(self.name)

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {
            "name": self.name,
            "version": self.version,
            "location": self.location,
            "packages": list(self.packages),
            "editable": self.editable,
        }


@dataclass(frozen=True, kw_only=True)
class Editable:
    """An import package that an editable finder maps to a folder or file elsewhere."""

    package: str
    path: str
    finder: str  # the file that says so


@dataclass(frozen=True, kw_only=True)
class DeadPath:
    """A line of a ``.pth`` file that names a folder which is not there."""

    file: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something in site-packages that an interrupted installation left behind."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An interpreter and its distributions. Nothing of it was imported, nothing of it was executed."""

    interpreter: Interpreter
    prefix: str | None
    site_paths: tuple[str, ...]  # where imports are looked for, in order, .pth additions included
    distributions: tuple[Distribution, ...] = ()
    editables: tuple[Editable, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    dead_paths: tuple[DeadPath, ...] = ()
    stdlib: str | None = None  # the folder of the standard library, where known

    def find(self, name: str) -> Distribution | None:
        """The distribution of that name that the interpreter would use, or None."""
        return self._by_key.get(canonicalize_name(name))

    @cached_property
    def _by_key(self) -> dict[str, Distribution]:
        """The first of each name, as importlib.metadata takes it."""
        return {found.key: found for found in reversed(self.distributions)}

    def owners(self, package: str) -> tuple[Distribution, ...]:
        """Every distribution that says it provides the import package."""
        return tuple(found for found in self.distributions if package in found.packages)

    def to_json(self) -> dict[str, object]:
        """The ``target`` object of the ``mixprec.report/1`` document."""
        return {
            "interpreter": self.interpreter.to_json(),
            "prefix": self.prefix,
            "site_paths": list(self.site_paths),
            "distributions": [found.to_json() for found in self.distributions],
            "editables": [{"package": each.package, "path": each.path} for each in self.editables],
            "leftovers": [{"path": each.path, "reason": each.reason} for each in self.leftovers],
            "dead_paths": [{"file": each.file, "path": each.path} for each in self.dead_paths],
        }


@dataclass(frozen=True, kw_only=True)
class InstalledEngine:
    """An engine as found in an environment: by the import package, whoever provides it."""

    engine: str  # "vllm", "sglang" or "torch": the name of the import package
    version: str | None
    distribution: str | None  # None: a bare folder, or several that quarrel about it
    root: str | None  # the folder that holds the import package; None: owned by metadata but not there

    def to_json(self, *, usable: bool | None = None) -> dict[str, object]:
        """The object of the ``mixprec.report/1`` document."""
        return {
            "engine": self.engine,
            "version": self.version,
            "distribution": self.distribution,
            "usable": usable,
        }
