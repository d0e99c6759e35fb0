"""MP102: an engine whose files and metadata do not agree."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.dead_editables import is_editable_engine
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    for engine in patient.engines:
        faults = list(_faults(engine, patient))
        if not faults:
            continue
        name = engine.distribution or engine.engine
        pinned = f"{name}=={engine.version}" if engine.version else name
        yield Finding(
            code="MP102",
            severity=Severity.ERROR if engine.root is None else Severity.WARNING,
            engine=engine.engine,
            summary=f"the installation of {engine.engine} is incomplete",
            cause=faults[0],
            evidence=tuple(faults),
            remedy=Remedy(
                text="install it again over what is left",
                commands=(f"{installer(patient.environment)} install --force-reinstall --no-deps '{pinned}'",),
            ),
            subjects=(engine.engine,),
        )


def _faults(engine: InstalledEngine, patient: Patient) -> Iterator[str]:
    owners = patient.environment.owners(engine.engine)
    if engine.root is None and is_editable_engine(engine, patient):
        return  # MP112 says where it should be
    if engine.root is None:
        yield f"{engine.distribution} lists {engine.engine} among its files, but the folder is not there"
    if engine.distribution is None:
        yield f"{engine.root} belongs to no distribution: pip knows neither its version nor its pins"
    for owner in owners:
        for fault in owner.faults:
            yield f"{owner.metadata}: {fault}"


CHECK = Check(
    code="MP102",
    title="Incomplete installation of an engine",
    promise="The files of an engine and the metadata about it do not agree.",
    explanation=(
        "Either the metadata lists an import package that is not there, or the package lies there without "
        "metadata, or the metadata folder lacks METADATA or RECORD. Engines ask importlib.metadata for their own "
        "version and plugins while they start, and fail with PackageNotFoundError or load no plugin at all."
    ),
    example=("`rm -r site-packages/vllm`, an installation that was interrupted, a copied site-packages folder."),
    cure="Install the same version again: `pip install --force-reinstall --no-deps vllm==<version>`.",
    find=_find,
)
