"""Setup: what was verified of an environment for a workload, and the fingerprint of what that was true of."""

from __future__ import annotations

__all__ = ["Aspect", "Drift", "Fingerprint", "Installed", "Setup"]

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mixprec_doctor.records.document import document
from mixprec_doctor.records.finding import Finding
from mixprec_doctor.records.kernel import KernelChoice
from mixprec_doctor.records.resolution import Resolution


class Aspect(str, Enum):
    """What part of a fingerprint is spoken of."""

    INTERPRETER = "interpreter"
    DISTRIBUTION = "distribution"
    MACHINE = "machine"
    VARIABLE = "variable"
    FILE = "file"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A distribution as it was: its metadata folder and the SHA-256 of its RECORD (of its metadata without one)."""

    name: str
    version: str | None
    metadata: str
    digest: str | None  # None: it has neither
    counts: bool  # the engine's requirements lead to it

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.setup/1`` document."""
        return {
            "name": self.name,
            "version": self.version,
            "metadata": self.metadata,
            "digest": self.digest,
            "counts": self.counts,
        }


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """All that a proof depends on.

    ``machine`` and ``interpreter`` are facts by name. ``variables`` are those of the environment that engines read,
    as SHA-256 of their values, which may be secret. ``files`` are the mix file and what stands at the head of every
    checkpoint file, by path, as SHA-256. ``optional`` are distributions that the engine would use, were they there.
    """

    interpreter: Mapping[str, str]
    distributions: tuple[Installed, ...]
    machine: Mapping[str, str]
    variables: Mapping[str, str]
    files: Mapping[str, str]
    optional: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The object of the ``mixprec.setup/1`` document."""
        return {
            "interpreter": dict(self.interpreter),
            "distributions": [each.to_json() for each in self.distributions],
            "machine": dict(self.machine),
            "variables": dict(self.variables),
            "files": dict(self.files),
            "optional": list(self.optional),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Fingerprint:
        """The record that ``to_json`` wrote."""
        return cls(
            interpreter=dict(raw["interpreter"]),
            distributions=tuple(Installed(**each) for each in raw["distributions"]),
            machine=dict(raw["machine"]),
            variables=dict(raw["variables"]),
            files=dict(raw["files"]),
            optional=tuple(raw["optional"]),
        )


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One thing that is not as it was. ``counts``: what was proved may not hold any more."""

    aspect: Aspect
    name: str
    before: str | None  # None: it was not there
    now: str | None  # None: it is gone
    counts: bool = True

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.aspect.value} {self.name} is new" + (f": {self.now}" if self.now else "")
        if self.now is None:
            return f"{self.aspect.value} {self.name} is gone" + (f" (was {self.before})" if self.before else "")
        if self.before == self.now:
            return f"{self.aspect.value} {self.name} has other contents"
        return f"{self.aspect.value} {self.name}: {self.before} -> {self.now}"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The hand-over from the doctor to the launcher."""

    made: str  # when, ISO 8601, UTC
    engine: str
    version: str | None  # of the engine
    workload: str  # the mix file
    ranks: int
    fingerprint: Fingerprint
    resolutions: tuple[Resolution, ...]  # with their bindings
    choices: tuple[KernelChoice, ...]
    findings: tuple[Finding, ...]
    seconds: float  # that verification took

    def to_json(self) -> dict[str, object]:
        """The ``mixprec.setup/1`` document."""
        return document(
            "setup",
            {
                "made": self.made,
                "engine": self.engine,
                "version": self.version,
                "workload": self.workload,
                "ranks": self.ranks,
                "fingerprint": self.fingerprint.to_json(),
                "roles": [each.to_json() for each in self.resolutions],
                "kernels": [each.to_json() for each in self.choices],
                "findings": [each.to_json() for each in self.findings],
                "seconds": round(self.seconds, 3),
            },
        )

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Setup:
        """The record that ``to_json`` wrote."""
        return cls(
            made=raw["made"],
            engine=raw["engine"],
            version=raw["version"],
            workload=raw["workload"],
            ranks=raw["ranks"],
            fingerprint=Fingerprint.from_json(raw["fingerprint"]),
            resolutions=tuple(Resolution.from_json(each) for each in raw["roles"]),
            choices=tuple(KernelChoice.from_json(each) for each in raw["kernels"]),
            findings=tuple(Finding.from_json(each) for each in raw["findings"]),
            seconds=raw["seconds"],
        )
