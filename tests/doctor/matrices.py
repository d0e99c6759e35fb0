"""Releases made up for tests of the matrix, and functions that read them in other processes."""

from __future__ import annotations

__all__ = ["FakeRelease", "die", "found", "hang", "matrix_of", "missing", "parameter", "read", "release"]

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.matrix import lay_out
from mixprec_doctor.records.matrix import Matrix, ReleaseRoles
from mixprec_doctor.records.resolution import Attempt, Binding, How, Parameter, Resolution, Status
from mixprec_doctor.records.role import Role


@dataclass(frozen=True, kw_only=True)
class FakeRelease:
    """What an index would say of a release; ``place`` is where a test is told what happened."""

    version: str
    distribution: str = "vllm"
    place: Path | None = None


def parameter(name: str, default: str | None = None, annotation: str | None = None, kind: str = "") -> Parameter:
    """A parameter, required without a default."""
    return Parameter(
        name=name,
        kind=kind or "POSITIONAL_OR_KEYWORD",
        required=default is None,
        default=default,
        annotation=annotation,
    )


def found(
    name: str = "GPTQConfig",
    module: str = "vllm.gptq",
    parameters: Sequence[Parameter] = (),
    role: Role = Role.GPTQ_CONFIG,
) -> Resolution:
    """A role that is there."""
    return Resolution(
        role=role,
        engine="vllm",
        status=Status.FOUND,
        module=module,
        name=name,
        parameters=tuple(parameters),
        how=How.DEFINITION,
        binding=Binding(via="from_config"),
        tried=(Attempt(path=f"{module}.{name}", fault=None),),
        defined_in=module,
    )


def missing(role: Role = Role.GPTQ_CONFIG, fault: str = "no such module") -> Resolution:
    """A role that is not."""
    return Resolution(
        role=role,
        engine="vllm",
        status=Status.MISSING,
        tried=(Attempt(path="vllm.gptq.GPTQConfig", fault=fault),),
    )


def release(version: str, *roles: Resolution, faults: Sequence[str] = (), distribution: str = "vllm") -> ReleaseRoles:
    """A release as it was read."""
    return ReleaseRoles(
        distribution=distribution,
        version=version,
        engine="vllm",
        filename=f"vllm-{version}.whl",
        sha256="0" * 64,
        uploaded="2026-01-02T03:04:05Z",
        roles=roles,
        faults=tuple(faults),
    )


def matrix_of(*releases: ReleaseRoles) -> Matrix:
    """Their matrix."""
    return Matrix(engines=lay_out(releases), seconds=0.5)


class Unreadable(MixprecError):
    """What reading raises for a release whose version says so."""

    def __str__(self) -> str:
        return "the index answered 503"


def read(asked: FakeRelease) -> ReleaseRoles:
    """Reads any release but those whose version speaks of a fault."""
    if asked.place:
        (asked.place / asked.version).write_text(str(os.getpid()))
    if asked.version == "1!503":
        raise Unreadable
    if asked.version == "1!0":
        raise ZeroDivisionError("by zero")
    return release(asked.version, found())


def die(asked: FakeRelease) -> ReleaseRoles:
    """Ends its process for one version, as the kernel does when memory is short."""
    if asked.version == "2.0":
        os._exit(9)
    return release(asked.version, found())


def hang(asked: FakeRelease) -> ReleaseRoles:
    """Answers for one version and waits for ever with all others."""
    if asked.version != "1.0":
        time.sleep(600)
    return release(asked.version, found())
