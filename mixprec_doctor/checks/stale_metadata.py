"""MP111: metadata that does not describe what lies there."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.environment.engines import ENGINES
from mixprec_doctor.environment.manifest import code_version, gone_files, public
from mixprec_doctor.environment.requirement import parse_requirement
from mixprec_doctor.records.environment import Distribution, InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_SHOWN = 5


def _find(patient: Patient) -> Iterator[Finding]:
    for engine in patient.engines:
        owners = {each.key: each for each in patient.environment.owners(engine.engine)}
        if engine.root is None or len(owners) != 1:
            continue  # nothing there is MP102, two owners are MP103
        (owner,) = owners.values()
        if owner.editable is None and (gone := gone_files(owner, engine.engine, endings=_endings(engine))):
            yield _half_removed(engine, owner, gone, patient)
        stated = code_version(Path(engine.root))
        if stated is not None and _differ(stated, owner.version):
            yield _other_version(engine, owner, stated, patient)
    yield from _broken(patient)


def _endings(engine: InstalledEngine) -> tuple[str, ...]:
    """Of torch's many thousand files the libraries, since it is seldom what was taken apart."""
    return ("so",) if engine.engine == "torch" else ("py", "so")


def _half_removed(engine: InstalledEngine, owner: Distribution, gone: tuple[str, ...], patient: Patient) -> Finding:
    grave = any(path.endswith((".so", "/__init__.py")) for path in gone) and patient.code is None
    return Finding(
        code="MP111",
        severity=Severity.ERROR if grave else Severity.WARNING,
        engine=engine.engine,
        summary=f"{len(gone)} files of {owner.name} {owner.version} are gone, {gone[0]} among them",
        cause="its RECORD lists them: they were removed by hand, or an installation or uninstallation was interrupted",
        evidence=(*gone[:_SHOWN], *(f"and {len(gone) - _SHOWN} more" for _ in gone[_SHOWN : _SHOWN + 1])),
        remedy=_again(owner, patient),
        subjects=(engine.engine,),
    )


def _other_version(engine: InstalledEngine, owner: Distribution, stated: str, patient: Patient) -> Finding:
    editable = owner.editable is not None
    return Finding(
        code="MP111",
        severity=Severity.INFO if editable else Severity.WARNING,
        engine=engine.engine,
        summary=f"the metadata says {owner.name} {owner.version}, the code that is there is {stated}",
        cause=(
            "an editable installation keeps the version of the day on which it was installed"
            if editable
            else "files of another release were copied or installed over it: pins and version checks read the wrong one"
        ),
        evidence=(owner.metadata, f"{engine.root}: __version__ is {stated}"),
        remedy=None if editable else _again(owner, patient),
        subjects=(engine.engine,),
    )


def _broken(patient: Patient) -> Iterator[Finding]:
    """Metadata folders without the metadata; of engines MP102 says it, of doubles MP104."""
    environment = patient.environment
    keys = [each.key for each in environment.distributions]
    for owner in environment.distributions:
        faults = [fault for fault in owner.faults if not fault.startswith("RECORD")]
        if not faults or keys.count(owner.key) > 1 or any(name in owner.packages for name in ENGINES):
            continue
        asked = _is_required(owner.key, patient)
        packages = owner.packages or (owner.name.replace("-", "_"),)
        stem = Path(owner.metadata).name.rpartition(".")[0]
        version = stem.partition("-")[2]
        yield Finding(
            code="MP111",
            severity=Severity.WARNING if asked else Severity.INFO,
            summary=f"the metadata of {owner.name} is damaged: {faults[0]}",
            cause="importlib.metadata gives no version for it, and a check of versions at import ends in an error",
            evidence=(owner.metadata,),
            remedy=Remedy(
                text="remove the damaged folder, then install the distribution again",
                commands=(
                    f"rm -r '{owner.metadata}'",
                    f"{installer(environment)} install --force-reinstall --no-deps "
                    f"'{owner.name}{f'=={version}' if version else ''}'",
                ),
            ),
            subjects=packages,
        )


def _is_required(key: str, patient: Patient) -> bool:
    texts = (text for each in patient.environment.distributions for text in each.requires if "extra ==" not in text)
    asked = (parse_requirement(text) for text in texts)
    return any(each is not None and canonicalize_name(each.name) == key for each in asked)


def _differ(stated: str, noted: str | None) -> bool:
    try:
        return noted is not None and Version(public(stated) or "") != Version(public(noted) or "")
    except InvalidVersion:
        return False  # "dev" and the like say nothing


def _again(owner: Distribution, patient: Patient) -> Remedy:
    pinned = f"{owner.name}=={owner.version}" if owner.version else owner.name
    return Remedy(
        text="install it again over what is left",
        commands=(f"{installer(patient.environment)} install --force-reinstall --no-deps '{pinned}'",),
    )


CHECK = Check(
    code="MP111",
    title="Stale or damaged metadata",
    promise="The metadata of an engine or of something required does not describe what lies there.",
    explanation=(
        "Three things are compared: the files that an engine's RECORD lists with those that are there; the version in "
        "its metadata with the literal `__version__` of its own files; and every other metadata folder is asked for a "
        "name and a version. Lost compiled libraries or packages of an engine are an error, the rest a warning; "
        "damaged metadata that nothing requires is only noted."
    ),
    example="`Unable to compare versions for numpy>=1.17: found=None` after a dist-info folder lost its METADATA.",
    cure="Remove what is damaged and install the same version again with `--force-reinstall --no-deps`.",
    find=_find,
)
