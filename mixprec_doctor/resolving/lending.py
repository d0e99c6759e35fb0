"""Lending: the releases on the index that have every one of some names, found by reading the releases themselves."""

from __future__ import annotations

__all__ = ["find_lenders"]

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from packaging.tags import Tag
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mixprec_doctor.environment.requirement import parse_requirement
from mixprec_doctor.errors import MixprecError
from mixprec_doctor.index.releases import Index
from mixprec_doctor.records.lenders import Avoid, Lenders
from mixprec_doctor.records.release import Release
from mixprec_doctor.resolving.borrowing import Borrowed, lacking
from mixprec_doctor.resolving.registrations import registers_taken
from mixprec_doctor.resolving.releases import reading_code
from mixprec_doctor.resolving.symbols import module_of
from mixprec_doctor.source.exports import Exports
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.tree import module_files

_THREADS = 8  # mostly waiting for a server
_PATIENCE = 45.0  # seconds; from the cache all of them take one


Told = Callable[[int, int, Release], None]


def find_lenders(
    names: Iterable[Borrowed],
    *,
    distribution: str,
    installed: str | None,
    beside: Sequence[tuple[str, str]],
    index: Index,
    avoid: Avoid | None = None,
    tags: Sequence[Tag] | None = None,
    python: str | None = None,
    told: Told | None = None,
    patience: float = _PATIENCE,
) -> Lenders | None:
    """Which releases of a distribution have all the names; None when the index gives none.

    Releases nearest to the ``installed`` one are read first, until time is up. ``beside`` are distributions and
    their installed versions that the wanted release should get along with; a release in which a module that
    ``avoid`` is about would raise does not have the names either.
    """
    wanted = tuple(dict.fromkeys((each.module, each.name) for each in names))
    try:
        releases = [each for each in index.find(f"{distribution}>=0", tags=tags, python=python) if each.fits]
    except MixprecError:
        return None
    answers: dict[str, tuple[bool, bool]] = {}
    started = time.monotonic()
    pool = ThreadPoolExecutor(_THREADS)
    try:
        waiting: dict[Future[tuple[bool, bool] | None], Release] = {
            pool.submit(_judge, each, wanted, tuple(beside), avoid, index): each
            for each in _nearest(releases, installed)
        }
        total = len(waiting)
        while waiting and (left := patience - (time.monotonic() - started)) > 0:
            ready, _ = wait(waiting, timeout=left, return_when=FIRST_COMPLETED)
            for future in ready:
                release = waiting.pop(future)
                if (answer := future.result()) is not None:
                    answers[release.version] = answer
                if told is not None:
                    told(total - len(waiting), total, release)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    read = [each.version for each in releases if each.version in answers]
    having = tuple(version for version in read if answers[version][0])
    return Lenders(
        distribution=distribution,
        read=tuple(read),
        having=having,
        fitting=tuple(version for version in having if answers[version][1]),
        beside=", ".join(f"{name} {version}" for name, version in beside),
        is_whole=not waiting,
    )


def _nearest(releases: list[Release], installed: str | None) -> list[Release]:
    """The releases, those nearest to the installed version first."""
    try:
        here = Version(installed or "")
    except InvalidVersion:
        return releases[::-1]
    older = [each for each in releases if Version(each.version) <= here]
    return sorted(releases, key=lambda each: abs(releases.index(each) - len(older)))


def _judge(
    release: Release,
    wanted: tuple[tuple[str, str | None], ...],
    beside: tuple[tuple[str, str], ...],
    avoid: Avoid | None,
    index: Index,
) -> tuple[bool, bool] | None:
    """Whether a release has all names, and whether it gets along with what is beside it; None: it can't be read."""
    asked = hashlib.sha256(repr((wanted, beside, avoid and (avoid.package, sorted(avoid.taken)))).encode()).hexdigest()
    key = f"{release.file.key} {reading_code()} lends {asked}"
    if (kept := index.store.answer(key)) is not None:
        return kept[0] == "1", kept[1] == "1"
    try:
        with index.open(release) as wheel:
            sources = Sources(wheel.tree)
            has = _has_all(sources, wanted) and not (avoid is not None and _registers(sources, avoid))
            fits = has and _admits(wheel.distribution.requires, beside)
    except Exception:  # noqa: BLE001  whatever is wrong with one release, the others are judged
        return None
    index.store.keep_answer(key, f"{int(has)}{int(fits)}")
    return has, fits


def _has_all(sources: Sources, wanted: tuple[tuple[str, str | None], ...]) -> bool:
    for package in {module.partition(".")[0] for module, _ in wanted}:
        if (tree := sources.tree(package)) is None:
            return False
        modules = {module for module, _ in wanted if module.partition(".")[0] == package}
        paths = [path for module in modules for path in module_files(module)]
        tree.prefetch(path for path in paths if tree.has(path))
    borrowed = [Borrowed(module=module, name=name, asker="", line=0) for module, name in wanted]
    return not lacking(borrowed, Exports(sources))


def _registers(sources: Sources, avoid: Avoid) -> bool:
    tree = sources.tree(avoid.package.partition(".")[0])
    folder = avoid.package.replace(".", "/")
    paths = [path for path in (tree.walk(folder) if tree is not None else ()) if path.endswith(".py")]
    if tree is not None:
        tree.prefetch(paths)
    modules = (sources.module(module_of(path)[0]) for path in paths)
    return any(each is not None and registers_taken(each.tree, avoid.taken) for each in modules)


def _admits(requires: Iterable[str], beside: Iterable[tuple[str, str]]) -> bool:
    """Whether requirements admit some installed versions."""
    installed = {canonicalize_name(name): version for name, version in beside}
    for text in requires:
        parsed = parse_requirement(text)
        version = installed.get(canonicalize_name(parsed.name)) if parsed is not None else None
        if parsed is not None and version is not None and not parsed.specifier.contains(version, prereleases=True):
            return False
    return True
