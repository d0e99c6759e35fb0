"""MP112: an editable installation that points nowhere, or at a tree that was not built."""

from __future__ import annotations

__all__ = ["CHECK", "is_editable_engine"]

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.environment.engines import ENGINES, locate_package
from mixprec_doctor.environment.manifest import read_manifest
from mixprec_doctor.records.environment import Distribution, InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity


@dataclass(frozen=True, kw_only=True)
class _Dead:
    """A path that is named and not there."""

    path: str
    named_by: str
    package: str | None = None
    owner: Distribution | None = None


def _find(patient: Patient) -> Iterator[Finding]:
    seen: set[str] = set()
    for dead in _dead(patient):
        name = dead.owner.name if dead.owner else dead.package or dead.path
        if name not in seen:
            seen.add(name)
            yield _finding(dead, patient)
    for engine in patient.engines:
        yield from _unbuilt(engine, patient)


def _dead(patient: Patient) -> Iterator[_Dead]:
    environment = patient.environment
    for each in environment.editables:
        if not Path(each.path).exists():
            yield _Dead(
                path=each.path, named_by=each.finder, package=each.package, owner=_owner_of(each.finder, patient)
            )
    for owner in environment.distributions:
        if owner.editable is not None and not Path(owner.editable).exists():
            yield _Dead(path=owner.editable, named_by=f"{owner.metadata}/direct_url.json", owner=owner)
    for line in environment.dead_paths:
        yield _Dead(path=line.path, named_by=line.file, owner=_owner_of(line.file, patient))


def _owner_of(file: str, patient: Patient) -> Distribution | None:
    """The distribution whose RECORD lists a file at the top of site-packages."""
    place = Path(file)
    for each in patient.environment.distributions:
        if each.location == str(place.parent) and any(line.path == place.name for line in read_manifest(each)):
            return each
    return None


def _finding(dead: _Dead, patient: Patient) -> Finding:
    package = dead.package or (dead.owner.name.replace("-", "_") if dead.owner else None)
    absent = package is not None and locate_package(patient.environment, package) is None
    engine = package if package in ENGINES else None
    severity = Severity.INFO
    if absent:
        severity = Severity.ERROR if engine else Severity.WARNING
    name = dead.owner.name if dead.owner else package
    pip = installer(patient.environment)
    return Finding(
        code="MP112",
        severity=severity,
        engine=engine,
        summary=(
            f"the editable installation of {name} points at {dead.path}, which is not there"
            if name
            else f"{Path(dead.named_by).name} adds {dead.path}, which is not there"
        ),
        cause=(
            f"the source folder was moved or deleted, so `import {package}` finds nothing"
            if absent
            else "Python leaves such a line out; nothing is imported from there"
        ),
        evidence=(f"named by {dead.named_by}",),
        remedy=Remedy(
            text="put the source folder back, install it again from where it is now, or install the release",
            commands=(f"{pip} uninstall -y {name}", f"{pip} install -e /path/to/{name}"),
        )
        if name
        else None,
        subjects=(package,) if package else (),
    )


def _unbuilt(engine: InstalledEngine, patient: Patient) -> Iterator[Finding]:
    """A source tree with a build file for compiled parts, and none of them in the package."""
    owner = patient.environment.find(engine.distribution) if engine.distribution else None
    if engine.root is None or owner is None or owner.editable is None or engine.engine == "torch":
        return
    root = Path(engine.root)
    if not (root.parent / "CMakeLists.txt").is_file() or any(root.glob("*.so")):
        return
    yield Finding(
        code="MP112",
        severity=Severity.WARNING,
        engine=engine.engine,
        summary=f"{engine.engine} is installed from a source tree that has not been built",
        cause=f"{root} has a CMakeLists.txt beside it and no compiled library in it: its kernels are not there",
        evidence=(f"editable installation of {owner.editable}",),
        remedy=Remedy(
            text="build it where it lies, or install the release",
            commands=(
                f"{installer(patient.environment)} install -e '{owner.editable}'",
                f"{installer(patient.environment)} install --force-reinstall --no-deps '{owner.name}'",
            ),
        ),
        subjects=(engine.engine,),
    )


def is_editable_engine(engine: InstalledEngine, patient: Patient) -> bool:
    """Whether an engine that is nowhere was installed from a source tree."""
    owner = patient.environment.find(engine.distribution) if engine.distribution else None
    return any(each.package == engine.engine for each in patient.environment.editables) or (
        owner is not None and (owner.editable is not None or _has_dead_path(owner, patient))
    )


def _has_dead_path(owner: Distribution, patient: Patient) -> bool:
    return any(_owner_of(line.file, patient) is owner for line in patient.environment.dead_paths)


CHECK = Check(
    code="MP112",
    title="An editable installation that points nowhere",
    promise="An editable installation names a source folder that is not there, or one that was never built.",
    explanation=(
        "Editable installations leave a `.pth` file, a finder with a table of folders, and the address of the source "
        "in direct_url.json; all three are read as text. An error when it is an engine that cannot be found for it, a "
        "warning for any other package, and only noted where the package lies elsewhere too. A source tree with a "
        "CMakeLists.txt and no compiled library in the package has not been built."
    ),
    example="`pip install -e ./vllm`, then `rm -r vllm`: `No module named 'vllm'`, while pip still lists it.",
    cure="Install it again from where the source is now, or install the release.",
    find=_find,
    explains=("MP101", "MP102", "MP204"),
)
