"""Releases that are not installed: roles and symbols of a wheel, a file or on an index. What was found out is kept."""

from __future__ import annotations

__all__ = [
    "NoEngineInWheel",
    "OpenedWheel",
    "open_wheel_file",
    "read_release",
    "read_symbols",
    "recall_release",
    "recall_symbols",
]

import gc
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.index.releases import open_release, usual_index
from mixprec_doctor.index.store import Store
from mixprec_doctor.records.matrix import ReleaseRoles
from mixprec_doctor.records.release import Release
from mixprec_doctor.records.resolution import SymbolResolution
from mixprec_doctor.resolving.engine import EngineSource
from mixprec_doctor.resolving.layout import LAYOUTS, find_layout
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.wheels import Wheel, open_wheel


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


@dataclass(frozen=True, kw_only=True)
class OpenedWheel:
    """The engine in a wheel, ready to be asked."""

    engine: str
    distribution: str
    version: str | None
    source: EngineSource


@contextmanager
def open_wheel_file(path: Path) -> Iterator[OpenedWheel]:
    """A wheel that lies on a disk."""
    wheel = open_wheel(path)
    try:
        yield _opened(wheel, str(path), thorough=True)
    finally:
        wheel.close()


def read_release(release: Release) -> ReleaseRoles:
    """Every role of a release on an index, from what is kept or read now."""
    found = recall_release(release)
    if found is None:
        with _open(release) as opened:
            found = ReleaseRoles(
                distribution=release.distribution,
                version=release.version,
                engine=opened.engine,
                filename=release.file.filename,
                sha256=release.file.sha256,
                uploaded=release.file.uploaded,
                roles=opened.source.roles(),
            )
        usual_index().store.keep_answer(_key(release, "roles"), json.dumps(found.to_json()))
    return found


def recall_release(release: Release) -> ReleaseRoles | None:
    """The roles of a release when they are kept; nothing is read."""
    text = usual_index().store.answer(_key(release, "roles"))
    return ReleaseRoles.from_json(json.loads(text)) if text else None


def read_symbols(release: Release, names: Sequence[str], *, thorough: bool = False) -> tuple[SymbolResolution, ...]:
    """Symbols of a release on an index. ``thorough`` looks beyond the usual places, for which all of it is read."""
    store = usual_index().store
    found = _recall_symbols(store, release, names, thorough=thorough)
    missing = [name for name in names if name not in found]
    if missing:
        with _open(release, thorough=thorough) as opened:
            for name in missing:
                found[name] = opened.source.symbol(name)
                key = _key(release, _question(name, thorough=thorough))
                store.keep_answer(key, json.dumps(found[name].to_json()))
    return tuple(found[name] for name in names)


def recall_symbols(release: Release, names: Sequence[str], *, thorough: bool = False) -> bool:
    """Whether all these symbols of a release are kept."""
    return len(_recall_symbols(usual_index().store, release, names, thorough=thorough)) == len(set(names))


def _recall_symbols(
    store: Store, release: Release, names: Sequence[str], *, thorough: bool
) -> dict[str, SymbolResolution]:
    texts = {name: store.answer(_key(release, _question(name, thorough=thorough))) for name in names}
    return {name: SymbolResolution.from_json(json.loads(text)) for name, text in texts.items() if text}


def _question(name: str, *, thorough: bool) -> str:
    return f"symbol {name} everywhere" if thorough else f"symbol {name}"


def _key(release: Release, question: str) -> str:
    """What an answer is kept under: the file, the question, and the code that answered."""
    return f"{release.file.key} {_code()} {question}"


@cache
def _code() -> str:
    """A digest of the modules that make the answers: a change of any of them asks every question anew."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for folder in ("records", "resolving", "source"):
        for path in sorted((root / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _open(release: Release, *, thorough: bool = False) -> Iterator[OpenedWheel]:
    wheel = open_release(release)
    collecting = gc.isenabled()
    gc.disable()  # syntax trees are many objects and no garbage: collecting costs a third of the time
    try:
        opened = _opened(wheel, release.file.filename, thorough=thorough)
        opened.source.gather()
        yield opened
    finally:
        wheel.close()
        if collecting:
            gc.enable()


def _opened(wheel: Wheel, place: str, *, thorough: bool) -> OpenedWheel:
    engine = next((each.engine for each in LAYOUTS if each.engine in wheel.packages), None)
    if engine is None:
        raise NoEngineInWheel(place, tuple(wheel.packages))
    source = EngineSource(Sources(wheel.tree), find_layout(engine), thorough=thorough)
    return OpenedWheel(
        engine=engine, distribution=wheel.distribution.name, version=wheel.distribution.version, source=source
    )
