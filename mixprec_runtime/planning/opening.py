"""Opening: the checkpoints of a mix, once, for one plan or for many that differ in their rules."""

from __future__ import annotations

__all__ = ["OpenedSources", "open_sources"]

from collections.abc import Mapping
from dataclasses import dataclass

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_runtime.checkpoint.errors import CheckpointError
from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.planning.compatibility import compare
from mixprec_runtime.records.checkpoint import Checkpoint
from mixprec_runtime.records.mix import BASE_SOURCE, Mix, Source


@dataclass(frozen=True, kw_only=True)
class OpenedSources:
    """The checkpoints of a mix that can be used, by the name of their source, and why others cannot."""

    checkpoints: Mapping[str, Checkpoint]
    findings: tuple[Finding, ...]


def open_sources(mix: Mix) -> OpenedSources:
    """The checkpoints that a mix speaks of, those that are of its base model."""
    opened: dict[str, Checkpoint] = {}
    findings: list[Finding] = []
    for source in (mix.model, *mix.sources.values()):
        try:
            opened[source.name] = open_checkpoint(source.path)
        except CheckpointError as fault:
            findings.append(_unopened(source, fault))
    base = opened.get(BASE_SOURCE)
    for name, source in mix.sources.items():
        if base is not None and name in opened and (differing := compare(source, opened[name], base)):
            findings.append(differing)
            del opened[name]
    return OpenedSources(checkpoints=opened, findings=tuple(findings))


def _unopened(source: Source, fault: CheckpointError) -> Finding:
    return Finding(
        code=fault.code,
        severity=Severity.ERROR,
        summary=f"{source.mark}: source {source.name!r} cannot be used: {fault.path.name} {fault.fault}",
        evidence=(str(fault.path),),
        remedy=Remedy(text=fault.remedy) if fault.remedy else None,
    )
