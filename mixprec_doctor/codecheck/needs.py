"""Needs: what some code wants of packages, as data with places, so that many releases can be held against it."""

from __future__ import annotations

__all__ = [
    "Alternative",
    "CallNeed",
    "ClassNeed",
    "Guard",
    "Handler",
    "ImportNeed",
    "Method",
    "Need",
    "PatchNeed",
    "Project",
    "Spot",
    "Target",
    "Try",
    "TryKey",
    "UseNeed",
]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mixprec_doctor.codecheck.conditions import Test
from mixprec_doctor.records.codefinding import Place
from mixprec_doctor.usercode.calls import Arguments

TryKey = tuple[str, int]  # a file, and the number of the try in it


@dataclass(frozen=True)
class Target:
    """Something of a package: a module that the code names, and what it takes from it, one name after another."""

    module: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.module, *self.path))

    @property
    def package(self) -> str:
        """The top-level package."""
        return self.module.partition(".")[0]

    def then(self, name: str) -> Target:
        """What is taken from it under a name."""
        return Target(self.module, (*self.path, name))


@dataclass(frozen=True)
class Guard:
    """One thing around some code that decides whether it runs, or takes its faults.

    Of a "try" the ``part`` is -1 in its body, the number of the handler in one, -2 in its else. Of an "if" the code
    runs where ``test`` is as ``holds`` says. "types" is what only a type checker sees.
    """

    kind: Literal["try", "if", "types"]
    key: TryKey | None = None
    part: int = -1
    test: Test | None = None
    holds: bool = True


Guards: TypeAlias = tuple[Guard, ...]


@dataclass(frozen=True)
class Handler:
    """What a handler takes, and whether it ends with raising something."""

    catches: tuple[str, ...]
    raises: bool


@dataclass(frozen=True)
class Try:
    """A ``try`` of the code, or a ``with suppress(...)``."""

    line: int
    handlers: tuple[Handler, ...]
    others: bool  # whether its body does what may fail for reasons that no release decides


@dataclass(frozen=True)
class Spot:
    """Where something stands: the place and the line as it is written."""

    place: Place
    source: str


@dataclass(frozen=True)
class Alternative:
    """One thing that a name may stand for; ``target`` None: something that is not of a package that is looked at."""

    target: Target | None
    guards: Guards = ()
    made: Arguments | None = None  # the arguments that a ``partial`` has given already


Meaning: TypeAlias = tuple[Alternative, ...]  # in the order of the source; the last that runs is it


@dataclass(frozen=True, kw_only=True)
class _Common:
    """What every need has."""

    spot: Spot
    guards: Guards = ()
    within: str | None = None  # the function in which it stands, so that it matters only when that is called


@dataclass(frozen=True, kw_only=True)
class ImportNeed(_Common):
    """A module, or a name of one, that an import statement or a call like it asks for."""

    target: Target
    how: Literal["import", "from", "star", "call"]
    bound: str | None = None
    statement: int = 0  # its line
    builds: tuple[str, ...] = ()  # classes of the file that are built on it


@dataclass(frozen=True, kw_only=True)
class UseNeed(_Common):
    """A dotted chain that is read: ``module.Class.method``."""

    of: Meaning
    words: str
    base: str | None = None  # the class of the code that is built on it


@dataclass(frozen=True, kw_only=True)
class CallNeed(_Common):
    """A call. ``partial`` gives some arguments and leaves the rest for later; ``member`` is called on what ``super()``
    of a class gives."""

    of: Meaning
    words: str
    arguments: Arguments
    keyword_spots: tuple[Spot, ...] = ()
    partial: bool = False
    super_of: int | None = None  # the class of ``Project.classes`` whose bases are asked for ``member``
    member: str | None = None


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method that a class of the code defines."""

    name: str
    spot: Spot
    parameters: tuple[tuple[str, str, bool], ...]  # name, kind and whether it is required; without self
    kind: Literal["method", "classmethod", "staticmethod", "property", "other"]
    is_async: bool = False
    certain: bool = True  # False: a decorator may change what it takes
    only_raises: bool = False  # it is there to say that it cannot be called


@dataclass(frozen=True, kw_only=True)
class ClassNeed(_Common):
    """A class of the code, and what it is built on: classes of a package, or others of the code."""

    name: str
    number: int
    bases: tuple[Meaning | int | None, ...]  # an int is another class of the code, None what is not known
    methods: tuple[Method, ...] = ()
    others: tuple[str, ...] = ()  # further names that the class body binds
    is_abstract: bool = False
    is_base: bool = False  # another class of the code is built on it
    is_made: bool = False  # some code calls it
    dynamic: bool = False  # decorators or a metaclass may add to it


@dataclass(frozen=True, kw_only=True)
class PatchNeed(_Common):
    """A name of a package that the code replaces. ``strict``: an error where there is none, as ``mock.patch`` does."""

    of: Meaning
    words: str
    strict: bool
    parameters: tuple[tuple[str, str, bool], ...] | None = None  # of the function that takes the place
    function: str | None = None


Need: TypeAlias = ImportNeed | UseNeed | CallNeed | ClassNeed | PatchNeed


@dataclass(frozen=True, kw_only=True)
class Project:
    """All that was read of some code."""

    files: int
    needs: tuple[Need, ...]
    tries: Mapping[TryKey, Try] = field(default_factory=dict)
    unread: tuple[tuple[str, str], ...] = ()
    calls: Mapping[str, tuple[Arguments, ...]] = field(default_factory=dict)  # of what is overridden or patched
    loads: frozenset[str] = frozenset()  # of the names that are patched those that the code reads as attributes
    mentions: Mapping[str, tuple[Guards, ...]] = field(default_factory=dict)  # of functions, by their names

    def packages(self) -> frozenset[str]:
        """The packages that something is wanted of."""
        found = {each.target.package for each in self.needs if isinstance(each, ImportNeed)}
        for need in self.needs:
            if isinstance(need, (UseNeed, CallNeed, PatchNeed)):
                found |= {each.target.package for each in need.of if each.target is not None}
        return frozenset(found)
