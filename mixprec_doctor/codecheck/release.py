"""Release: one release of a package, asked for facts; what it answered once is kept for all later runs."""

from __future__ import annotations

__all__ = ["NotKept", "ReleaseFacts", "installed_facts", "keeping_code", "release_facts"]

import gc
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from mixprec_doctor.codecheck.answers import Answers
from mixprec_doctor.codecheck.facts import CallFact, CallShape, ClassFact, MemberFact, NameFact, Presence
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.index.releases import open_release
from mixprec_doctor.index.store import Store
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.release import Release
from mixprec_doctor.resolving.releases import reading_code
from mixprec_doctor.source.sources import Sources

Fact = TypeVar("Fact")


class NotKept(Exception):
    """A question whose answer is not kept, where nothing may be read."""


class ReleaseFacts:
    """Answers about one package of one release; each question is worked out once, in this process or an earlier one.

    ``open_answers`` is called when something has to be read, and given back what it opened by ``close``.
    """

    def __init__(
        self,
        *,
        package: str,
        distribution: str,
        version: str | None,
        python: tuple[int, ...] | None = None,
        store: Store | None = None,
        key: str | None = None,
        open_answers: Callable[[], tuple[Answers, Callable[[], None]]],
        recall: bool = False,
    ) -> None:
        self.package = package
        self.distribution = distribution
        self.version = version
        self.python = python
        self.recall = recall  # whether nothing may be read
        self._store = store
        self._key = key
        self._open_answers = open_answers
        self._opened: tuple[Answers, Callable[[], None]] | None = None
        self._kept: dict[str, Any] = self._read_kept("")
        self._memo: dict[str, Any] = {}
        self._grown = False
        self._definitions: dict[str, list[str]] | None = None

    def module(self, name: str) -> Presence:
        """Whether a module can be imported."""
        return self._fact(f"m {name}", Presence, lambda a: a.module(name), lambda fact: fact.value)

    def name(self, module: str, name: str) -> NameFact:
        """What a module, which is there, has under a name."""
        return self._fact(f"n {module} {name}", NameFact.from_json, lambda a: a.name(module, name))

    def call(self, module: str, name: str) -> CallFact:
        """How a class or function is called."""
        return self._fact(f"c {module} {name}", CallFact.from_json, lambda a: a.call(module, name))

    def of_class(self, module: str, name: str) -> ClassFact | None:
        """What a class is built on; None for what is none."""
        found: ClassFact | None = self._fact(
            f"k {module} {name}",
            lambda raw: ClassFact.from_json(raw) if raw else None,
            lambda a: a.of_class(module, name),
            lambda fact: fact.to_json() if fact else None,
        )
        return found

    def member(self, module: str, name: str, member: str) -> MemberFact:
        """What a class has under a name."""
        return self._fact(f"b {module} {name} {member}", MemberFact.from_json, lambda a: a.member(module, name, member))

    def calls_of(self, method: str) -> tuple[CallShape, ...]:
        """Every call of a method of that name in the package."""
        found: tuple[CallShape, ...] = self._fact(
            f"s {method}",
            lambda raw: tuple(CallShape.from_json(each) for each in raw),
            lambda a: tuple(a.calls_of(self.package, method)),
            lambda fact: [each.to_json() for each in fact],
        )
        return found

    def names_class(self, module: str, name: str) -> bool:
        """Whether a module's source has the name of a class."""
        return self._fact(f"u {module} {name}", bool, lambda a: a.names_class(module, name), lambda fact: fact)

    def mentions(self, name: str) -> bool:
        """Whether a word stands anywhere in the source of the package."""
        return self._fact(f"w {name}", bool, lambda a: a.mentions(self.package, name), lambda fact: fact)

    def definitions_of(self, name: str) -> tuple[str, ...]:
        """The modules that define a name at the beginning of a line."""
        if self._definitions is None:
            kept = self._read_kept(" definitions")
            if not kept:
                kept = self._answers().definitions(self.package)
                self._write_kept(" definitions", kept)
            self._definitions = kept
        return tuple(self._definitions.get(name, ()))

    def modules_called(self, last: str) -> tuple[str, ...]:
        """Modules that define something and whose last name is this one."""
        self.definitions_of("")
        homes = {each for homes in (self._definitions or {}).values() for each in homes}
        return tuple(sorted(each for each in homes if each.rpartition(".")[2] == last))

    def successor(self, name: str) -> tuple[str, str] | None:
        """Module and name of what took a name's place, where the package has a role for it."""
        found: tuple[str, str] | None = self._fact(
            f"r {name}",
            lambda raw: (raw[0], raw[1]) if raw else None,
            lambda a: a.successor(self.package, name),
            lambda fact: list(fact) if fact else None,
        )
        return found

    def names_near(self, module: str) -> tuple[str, ...]:
        """What a module defines at the beginning of a line; of one that is not there, what lies around it."""
        self.definitions_of("")
        inside = tuple(name for name, homes in (self._definitions or {}).items() if module in homes)
        if inside:
            return inside
        above = f"{module.rpartition('.')[0]}."
        return tuple(
            name for name, homes in (self._definitions or {}).items() if any(each.startswith(above) for each in homes)
        )

    def close(self) -> None:
        """Keep what is new, and let go of what was opened."""
        if self._grown:
            self._write_kept("", self._read_kept("") | self._kept)
            self._grown = False
        if self._opened is not None:
            self._opened[1]()
            self._opened = None

    def _fact(
        self,
        key: str,
        read: Callable[[Any], Fact],
        ask: Callable[[Answers], Fact],
        write: Callable[[Any], Any] = lambda fact: fact.to_json(),
    ) -> Fact:
        if key not in self._memo:
            if key in self._kept:
                self._memo[key] = read(self._kept[key])
            else:
                self._memo[key] = found = ask(self._answers())
                self._kept[key] = write(found)
                self._grown = True
        answer: Fact = self._memo[key]
        return answer

    def _answers(self) -> Answers:
        if self.recall:
            raise NotKept
        if self._opened is None:
            self._opened = self._open_answers()
        return self._opened[0]

    def _read_kept(self, part: str) -> dict[str, Any]:
        text = self._store.answer(f"{self._key}{part}") if self._store is not None and self._key else None
        try:
            found = json.loads(text) if text else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _write_kept(self, part: str, facts: dict[str, Any]) -> None:
        if self._store is not None and self._key:
            self._store.keep_answer(f"{self._key}{part}", json.dumps(facts, separators=(",", ":")))


def release_facts(
    release: Release, package: str, *, store: Store, recall: bool = False, offline: bool = False
) -> ReleaseFacts:
    """A package of a release on an index, or of a wheel file."""

    def open_answers() -> tuple[Answers, Callable[[], None]]:
        wheel = open_release(release, offline=offline)
        return Answers(Sources(wheel.tree)), wheel.close

    return ReleaseFacts(
        package=package, distribution=release.distribution, version=release.version, store=store,
        key=f"{release.file.key} {keeping_code()} check {package}", open_answers=open_answers, recall=recall,
    )  # fmt: skip


def installed_facts(environment: Environment, package: str, *, store: Store | None) -> ReleaseFacts | None:
    """A package as it is installed; None where it is not."""
    place = locate_package(environment, package)
    if place is None:
        return None
    owner = next(iter(environment.owners(package)), None) or environment.find(package)
    sources = Sources.of_environment(environment)
    return ReleaseFacts(
        package=package,
        distribution=owner.name if owner else package,
        version=owner.version if owner else None,
        python=sources.python,
        store=store,
        key=f"installed {_fingerprint(place, environment)} {keeping_code()} check {package}",
        open_answers=lambda: (Answers(sources, environment), lambda: None),
    )


@lru_cache(maxsize=1)
def keeping_code() -> str:
    """A digest of the code that makes facts: a change of any of it asks every question anew."""
    digest = hashlib.sha256(reading_code().encode())
    here = Path(__file__).parent
    for path in (*sorted(here.glob("*.py")), here.parent / "usercode" / "forwarding.py"):
        if path.stem in ("answers", "facts", "members", "release", "forwarding"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def without_collecting() -> Iterator[None]:
    """Syntax trees are many objects and no garbage: collecting costs a third of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _fingerprint(place: Path, environment: Environment) -> str:
    """What the answers about an installed package follow from: its files, and what stands beside it."""
    digest = hashlib.sha256()
    for each in environment.distributions:
        digest.update(f"{each.name} {each.version} {each.location}\n".encode())
    digest.update(repr(environment.interpreter.version).encode())
    if place.is_file():
        status = place.stat()
        digest.update(f"{place} {status.st_mtime_ns} {status.st_size}".encode())
        return digest.hexdigest()
    for here, folders, _ in os.walk(place):
        folders.sort()
        with os.scandir(here) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                if entry.name.endswith((".py", ".so")) and entry.is_file():
                    status = entry.stat()
                    digest.update(f"{entry.path} {status.st_mtime_ns} {status.st_size}\n".encode())
    return digest.hexdigest()
