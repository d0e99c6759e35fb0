"""Releases on the indexes that pip is set up for: found by a requirement, read without installing them."""

from __future__ import annotations

__all__ = ["Index", "find_releases", "open_release", "usual_index"]

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement as NotPep508
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.version import Version

from mixprec_doctor.cache import cache_folder
from mixprec_doctor.index.archives import IndexArchive
from mixprec_doctor.index.choosing import WheelTarget, choose_file, running_target
from mixprec_doctor.index.connection import FIRST_PAUSE, Connection
from mixprec_doctor.index.errors import InvalidRequirement, NoSuchRelease, SourceOnly, UnreachableIndex
from mixprec_doctor.index.pages import Page, PageReader
from mixprec_doctor.index.settings import IndexSettings, read_settings
from mixprec_doctor.index.store import Store
from mixprec_doctor.index.urls import local_path, redact
from mixprec_doctor.records.release import Release, ReleaseFile
from mixprec_doctor.source.wheels import Wheel, open_wheel

_NEWEST = 5  # versions that an error names


class Index:
    """All places that pip would look in, with one cache and one pool of connections; usable from many threads."""

    def __init__(
        self,
        *,
        settings: IndexSettings | None = None,
        store: Store | None = None,
        offline: bool = False,
        pause: float = FIRST_PAUSE,
    ) -> None:
        self.settings = settings or read_settings()
        self.store = store or Store()
        self.connection = Connection(self.settings, offline=offline, pause=pause)
        self._pages = PageReader(self.connection, self.store)
        self._notes: dict[str, None] = {}
        self._lock = threading.Lock()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the answers so far, e.g. that an old page was used."""
        return (*self._notes, *self.store.notes)

    def find(
        self, requirement: str | Requirement, *, tags: Sequence[Tag] | None = None, python: str | None = None
    ) -> tuple[Release, ...]:
        """The releases that a requirement names, oldest first: the newest for a bare name, else all that fit."""
        wanted = _parse(requirement)
        target = running_target()
        if tags is not None or python is not None:
            target = WheelTarget(tags=tuple(tags) if tags is not None else target.tags, python=python or target.python)
        files, failures = self._files(wanted.name)
        releases = tuple(_choose(files, wanted.specifier, target))
        if not releases and failures:
            raise failures[0]
        if not releases:
            newest = sorted({Version(file.version) for file in files}, reverse=True)[:_NEWEST]
            raise NoSuchRelease(
                str(wanted),
                asked=[redact(place) for place in (*self.settings.indexes, *self.settings.find_links)],
                newest=[str(version) for version in newest],
                notes=self.notes,
            )
        return releases if wanted.specifier else releases[-1:]

    def open(self, release: Release) -> Wheel:
        """The wheel of a release; of one on a server only what is asked for is fetched."""
        if not release.file.is_wheel:
            raise SourceOnly(release.distribution, release.version, release.file.filename)
        if (path := local_path(release.file.url)) is not None:
            return open_wheel(Path(path))
        return Wheel(IndexArchive(release, connection=self.connection, store=self.store, tell=self._tell))

    def close(self) -> None:
        """Let go of connections."""
        self.connection.close()
        self.store.close()

    def _files(self, project: str) -> tuple[list[ReleaseFile], list[UnreachableIndex]]:
        """Files in pip's order: those of ``find-links``, then those of the indexes; and the places that failed."""
        files: list[ReleaseFile] = []
        failures: list[UnreachableIndex] = []
        for place in (*self.settings.find_links, *self.settings.indexes):
            read = self._pages.links_page if place in self.settings.find_links else self._pages.index_page
            try:
                page: Page = read(place, project)
            except UnreachableIndex as fault:
                failures.append(fault)
                self._tell(f"{fault.url}: {fault.fault}; not asked for {project}")
                continue
            files += page.files
            if page.note:
                self._tell(page.note)
        return files, failures

    def _tell(self, note: str) -> None:
        with self._lock:
            self._notes[note] = None


def find_releases(
    requirement: str | Requirement,
    *,
    tags: Sequence[Tag] | None = None,
    python: str | None = None,
    offline: bool = False,
    index: Index | None = None,
) -> tuple[Release, ...]:
    """The releases that a requirement names, oldest first: the newest for a bare name, else all that fit.

    ``tags`` and ``python`` describe another interpreter than the running one. With ``offline`` nothing is
    asked of a server.
    """
    return (index or usual_index(offline=offline)).find(requirement, tags=tags, python=python)


def open_release(release: Release, *, offline: bool = False, index: Index | None = None) -> Wheel:
    """The wheel of a release; of one on a server only what is asked for is fetched, and kept in the cache."""
    return (index or usual_index(offline=offline)).open(release)


_USUAL: dict[tuple[Any, ...], Index] = {}
_USUAL_LOCK = threading.Lock()


def usual_index(*, offline: bool = False) -> Index:
    """The indexes of pip's settings with this user's cache: one for each process, so that connections are shared."""
    settings = read_settings()
    key = (os.getpid(), offline, settings, cache_folder())  # connections must not cross a fork
    with _USUAL_LOCK:
        if key not in _USUAL:
            _USUAL[key] = Index(settings=settings, offline=offline)
        return _USUAL[key]


def _parse(requirement: str | Requirement) -> Requirement:
    try:
        parsed = Requirement(str(requirement))
    except NotPep508 as fault:
        raise InvalidRequirement(str(requirement), str(fault).splitlines()[0]) from None
    if parsed.url:
        raise InvalidRequirement(redact(str(requirement)), "an address instead of a version")
    return parsed


def _choose(files: Iterable[ReleaseFile], specifier: SpecifierSet, target: WheelTarget) -> Iterator[Release]:
    pinned = any(
        each.operator == "===" or (each.operator == "==" and not each.version.endswith(".*")) for each in specifier
    )
    versions: dict[Version, list[ReleaseFile]] = {}
    for file in files:
        versions.setdefault(Version(file.version), []).append(file)
    chosen = {
        version: found
        for version, group in versions.items()
        if (found := choose_file(group, target, yanked=pinned)) is not None
    }
    for version in sorted(specifier.filter(chosen)):
        file, fits = chosen[version]
        yield Release(distribution=file.distribution, version=str(version), file=file, fits=fits)
