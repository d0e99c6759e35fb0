"""Releases that are not installed: roles and symbols of a wheel on an index or a disk. What was found out is kept."""

from __future__ import annotations

__all__ = ["NoEngineInWheel", "Question", "open_source", "read_release", "reading_code", "recall_release"]

import gc
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.index.releases import open_release, usual_index
from mixprec_doctor.index.urls import local_path
from mixprec_doctor.records.answers import Answers
from mixprec_doctor.records.matrix import ReleaseRoles
from mixprec_doctor.records.release import Release
from mixprec_doctor.records.resolution import Resolution, SymbolResolution
from mixprec_doctor.resolving.engine import EngineSource
from mixprec_doctor.resolving.layout import LAYOUTS, find_layout
from mixprec_doctor.source.sources import Sources

_ROLES = "all roles"  # with a space, as no symbol is


class NoEngineInWheel(MixprecError):
    """A wheel was opened that holds none of the engines."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, place: str, packages: tuple[str, ...]) -> None:
        super().__init__(place, packages)
        self.place = place
        self.packages = packages

    def __str__(self) -> str:
        held = ", ".join(self.packages) or "no import package"
        known = " or ".join(layout.engine for layout in LAYOUTS)
        return f"{self.place} holds {held}; wanted: a wheel with the import package {known}"


def read_release(release: Release) -> ReleaseRoles:
    """Every role of a release on an index, from what is kept or read now."""
    answers = Question()(release)
    return _as_roles(release, answers)


def recall_release(release: Release) -> ReleaseRoles | None:
    """The roles of a release when they are kept; nothing is read."""
    answers = Question().recall(release)
    return _as_roles(release, answers) if answers else None


def _as_roles(release: Release, answers: Answers) -> ReleaseRoles:
    return ReleaseRoles(
        distribution=release.distribution,
        version=release.version,
        engine=answers.package,
        filename=release.file.filename,
        sha256=release.file.sha256,
        uploaded=release.file.uploaded,
        roles=answers.roles or (),
    )


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a release on an index: some symbols or, without any, all roles. Called with the release.

    ``thorough`` looks for symbols beyond the usual places, for which all of the release is fetched; ``offline``
    asks no server.
    """

    symbols: tuple[str, ...] = ()
    thorough: bool = False
    offline: bool = False

    def __call__(self, release: Release) -> Answers:
        """The answers, from what is kept or read now; what is new is kept."""
        kept = self._kept(release)
        missing = [part for part in self._parts if part not in kept]
        if missing:
            with self._open(release) as (engine, source):
                store = usual_index(offline=self.offline).store
                for part in missing:
                    kept[part] = {"engine": engine, **_answer(source, part)}
                    store.keep_answer(self._key(release, part), json.dumps(kept[part]))
        return self._answers(release, kept)

    def _open(self, release: Release) -> AbstractContextManager[tuple[str, EngineSource]]:
        return open_source(release, symbols=bool(self.symbols), thorough=self.thorough, offline=self.offline)

    def recall(self, release: Release) -> Answers | None:
        """The answers when all of them are kept; nothing is read."""
        kept = self._kept(release)
        return self._answers(release, kept) if len(kept) == len(self._parts) else None

    @property
    def _parts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.symbols)) or (_ROLES,)

    def _kept(self, release: Release) -> dict[str, dict[str, Any]]:
        store = usual_index(offline=self.offline).store
        texts = {part: store.answer(self._key(release, part)) for part in self._parts}
        return {part: json.loads(text) for part, text in texts.items() if text}

    def _key(self, release: Release, part: str) -> str:
        """What an answer is kept under: the file, the code that answered, and the question."""
        everywhere = " everywhere" if self.thorough and part != _ROLES else ""
        return f"{release.file.key} {reading_code()} {part}{everywhere}"

    def _answers(self, release: Release, kept: dict[str, dict[str, Any]]) -> Answers:
        first = next(iter(kept.values()))
        return Answers(
            package=first["engine"],
            version=release.version,
            distribution=release.distribution,
            place=release.file.filename,
            roles=None if self.symbols else tuple(map(Resolution.from_json, first["roles"])),
            symbols=tuple(SymbolResolution.from_json(kept[name]) for name in self.symbols) if self.symbols else None,
        )


def _answer(source: EngineSource, part: str) -> dict[str, object]:
    if part == _ROLES:
        return {"roles": [role.to_json() for role in source.roles()]}
    return source.symbol(part).to_json()


@cache
def reading_code() -> str:
    """A digest of the modules that make the answers, and of the parser: a change of any asks every question anew."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256(repr(sys.version_info[:3]).encode())
    for folder in ("records", "resolving", "source"):
        for path in sorted((root / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def open_source(
    release: Release, *, symbols: bool = False, thorough: bool = False, offline: bool = False
) -> Iterator[tuple[str, EngineSource]]:
    """The engine in a release's wheel. What lies on a disk is always searched thoroughly: it costs no traffic."""
    wheel = open_release(release, offline=offline)
    collecting = gc.isenabled()
    gc.disable()  # syntax trees are many objects and no garbage: collecting costs a third of the time
    try:
        engine = next((each.engine for each in LAYOUTS if each.engine in wheel.packages), None)
        if engine is None:
            raise NoEngineInWheel(release.file.filename, tuple(wheel.packages))
        near = local_path(release.file.url) is not None
        source = EngineSource(Sources(wheel.tree), find_layout(engine), thorough=thorough or near)
        source.gather(symbols=symbols)
        yield engine, source
    finally:
        wheel.close()
        if collecting:
            gc.enable()
