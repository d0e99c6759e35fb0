"""Matrix: the roles of many releases side by side, and what changed from each release to the next."""

from __future__ import annotations

__all__ = ["Cell", "Change", "ChangeKind", "EngineMatrix", "Lost", "Matrix", "ReleaseRoles", "Row", "Weight"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mixprec_doctor.errors import ExitCode
from mixprec_doctor.records.document import document
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.records.signature import signature


@dataclass(frozen=True, kw_only=True)
class ReleaseRoles:
    """The roles of one release. No roles: it could not be read, and ``faults`` says why."""

    distribution: str
    version: str
    engine: str
    filename: str | None = None
    sha256: str | None = None
    uploaded: str | None = None
    roles: tuple[Resolution, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether anything is known of the release."""
        return bool(self.roles)

    def head(self) -> dict[str, object]:
        """The release without its roles."""
        return {
            "distribution": self.distribution,
            "version": self.version,
            "engine": self.engine,
            "filename": self.filename,
            "sha256": self.sha256,
            "uploaded": self.uploaded,
            "faults": list(self.faults),
        }

    def to_json(self) -> dict[str, object]:
        """The head and all roles."""
        return {**self.head(), "roles": [role.to_json() for role in self.roles]}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> ReleaseRoles:
        """The record that ``to_json`` wrote."""
        return cls(
            distribution=raw["distribution"],
            version=raw["version"],
            engine=raw["engine"],
            filename=raw["filename"],
            sha256=raw["sha256"],
            uploaded=raw["uploaded"],
            roles=tuple(Resolution.from_json(each) for each in raw["roles"]),
            faults=tuple(raw["faults"]),
        )


class Weight(str, Enum):
    """What a change means for those who use the name."""

    PLACE = "place"  # the line that imports it
    CALL = "call"  # the arguments it takes
    NOTE = "note"  # only what is said of them


class ChangeKind(str, Enum):
    """How a role differs from the release before."""

    APPEARED = "appeared"
    DISAPPEARED = "disappeared"
    BECAME_PLACEHOLDER = "became_placeholder"
    MOVED = "moved"
    RENAMED = "renamed"
    BECAME_CONDITIONAL = "became_conditional"
    BECAME_UNCONDITIONAL = "became_unconditional"
    PARAMETER_ADDED = "parameter_added"
    PARAMETER_INSERTED = "parameter_inserted"  # before others that may be given by position
    PARAMETER_REMOVED = "parameter_removed"
    PARAMETER_RENAMED = "parameter_renamed"
    PARAMETERS_REORDERED = "parameters_reordered"
    KIND_CHANGED = "kind_changed"
    DEFAULT_CHANGED = "default_changed"
    ANNOTATION_CHANGED = "annotation_changed"

    @property
    def weight(self) -> Weight:
        """What a change of this kind means for those who use the name."""
        if self is ChangeKind.ANNOTATION_CHANGED:
            return Weight.NOTE
        return Weight.PLACE if self in _OF_PLACE else Weight.CALL


_OF_PLACE = frozenset({
    ChangeKind.APPEARED, ChangeKind.DISAPPEARED, ChangeKind.BECAME_PLACEHOLDER, ChangeKind.MOVED, ChangeKind.RENAMED,
    ChangeKind.BECAME_CONDITIONAL, ChangeKind.BECAME_UNCONDITIONAL,
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference from the release before; ``parameter`` is the one concerned, under its new name."""

    kind: ChangeKind
    parameter: str | None = None
    before: str | None = None
    after: str | None = None

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.matrix/1`` document."""
        return {
            "kind": self.kind.value,
            "parameter": self.parameter,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A role in a release; ``resolution`` is None where the release could not be read."""

    version: str
    resolution: Resolution | None
    changes: tuple[Change, ...] = ()

    @property
    def key(self) -> tuple[object, ...] | None:
        """What makes two cells equal: status, module, name, parameters, and whether it hangs on a condition."""
        found = self.resolution
        if found is None:
            return None
        conditional = found.status is Status.FOUND and found.condition is not None
        return found.status, found.module, found.name, found.parameters, conditional

    @property
    def weight(self) -> Weight | None:
        """The heaviest of its changes."""
        weights = {change.kind.weight for change in self.changes}
        return next((each for each in Weight if each in weights), None)

    def to_json(self, role: Role, engine: str) -> dict[str, object]:
        """The object of the ``mixprec.matrix/1`` document: that of ``mixprec.resolve/1`` and what changed."""
        found = self.resolution
        # An unread release has every key of a read one: unknown values are null, never left out.
        body = (found or Resolution(role=role, engine=engine, status=Status.MISSING)).to_json()
        if found is None:
            body = dict.fromkeys(body)
        return {
            "version": self.version,
            **{key: value for key, value in body.items() if key not in ("role", "engine")},
            "signature": signature(found.name, found.parameters) if found and found.name else None,
            "changes": [change.to_json() for change in self.changes],
        }


@dataclass(frozen=True, kw_only=True)
class Row:
    """A role through the releases, oldest first."""

    role: Role
    cells: tuple[Cell, ...]

    def runs(self) -> Iterator[tuple[Cell, ...]]:
        """Neighbouring cells that are equal (``Cell.key``)."""
        run: list[Cell] = []
        for cell in self.cells:
            if run and cell.key != run[-1].key:
                yield tuple(run)
                run = []
            run.append(cell)
        if run:
            yield tuple(run)


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A role that an earlier release had and the newest one has not."""

    engine: str
    distribution: str
    role: Role
    last: str  # the newest release that has it
    newest: str


@dataclass(frozen=True, kw_only=True)
class EngineMatrix:
    """The releases of one distribution, oldest first, and a row for each role."""

    engine: str
    distribution: str
    releases: tuple[ReleaseRoles, ...]
    rows: tuple[Row, ...]

    def lost(self) -> Iterator[Lost]:
        """Roles that an earlier release had and the newest readable one has not."""
        for row in self.rows:
            read = [cell for cell in row.cells if cell.resolution]
            had = [cell for cell in read if cell.resolution and cell.resolution.status is Status.FOUND]
            if had and had[-1] is not read[-1]:
                yield Lost(
                    engine=self.engine,
                    distribution=self.distribution,
                    role=row.role,
                    last=had[-1].version,
                    newest=read[-1].version,
                )

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.matrix/1`` document."""
        return {
            "engine": self.engine,
            "distribution": self.distribution,
            "releases": [release.head() for release in self.releases],
            "rows": [
                {"role": row.role.value, "cells": [cell.to_json(row.role, self.engine) for cell in row.cells]}
                for row in self.rows
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The roles of many releases of one or several engines."""

    engines: tuple[EngineMatrix, ...]
    seconds: float

    def lost(self) -> tuple[Lost, ...]:
        """Every role that an earlier release had and the newest one of its engine has not."""
        return tuple(lost for engine in self.engines for lost in engine.lost())

    @property
    def exit_code(self) -> ExitCode:
        """1 for a role that got lost on the way to the newest release, 3 when no release could be read."""
        if not any(release.readable for engine in self.engines for release in engine.releases):
            return ExitCode.NOTHING_EXAMINED
        return ExitCode.FINDINGS if self.lost() else ExitCode.CLEAN

    def to_json(self) -> dict[str, object]:
        """The ``mixprec.matrix/1`` document."""
        return document(
            "matrix",
            {"engines": [engine.to_json() for engine in self.engines], "seconds": round(self.seconds, 3)},
        )
