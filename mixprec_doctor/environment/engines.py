"""Engines of an environment: found by the import package, whatever the distribution is called."""

from __future__ import annotations

__all__ = ["ENGINES", "find_engines", "locate_package"]

from pathlib import Path

from mixprec_doctor.environment.manifest import code_version, public
from mixprec_doctor.records.environment import Distribution, Environment, InstalledEngine

ENGINES: tuple[str, ...] = ("vllm", "sglang", "torch")  # import packages; torch is mixprec's own engine


def find_engines(environment: Environment) -> tuple[InstalledEngine, ...]:
    """Every engine that the environment has a trace of, in the order of ``ENGINES``."""
    found = (_engine(environment, name) for name in ENGINES)
    return tuple(engine for engine in found if engine is not None)


def locate_package(environment: Environment, package: str) -> Path | None:
    """The folder (or module file) that ``import package`` would take, or None.

    A namespace folder without ``__init__`` is only taken when no regular package is found anywhere.
    """
    namespace: Path | None = None
    for site in map(Path, environment.site_paths):
        folder = site / package
        if (folder / "__init__.py").is_file():
            return folder
        if (site / f"{package}.py").is_file():
            return site / f"{package}.py"
        if namespace is None and folder.is_dir():
            namespace = folder
    for editable in environment.editables:
        if editable.package == package and Path(editable.path).exists():
            return Path(editable.path)
    return namespace


def _engine(environment: Environment, name: str) -> InstalledEngine | None:
    place = locate_package(environment, name)
    owners = _owners(environment, name, place)
    if place is not None and not owners and not (place / "__init__.py").is_file():
        return None  # an unrelated folder of that name
    if place is None and not owners:
        return None
    owner = _present(owners, place)
    return InstalledEngine(
        engine=name,
        version=owner.version if owner else None,
        distribution=owner.name if owner else None,
        root=str(place) if place is not None else None,
    )


def _present(owners: list[Distribution], place: Path | None) -> Distribution | None:
    """Of several owners the one whose version the files themselves state, else the first."""
    if len(owners) > 1 and place is not None and (stated := public(code_version(place))) is not None:
        return next((each for each in owners if public(each.version) == stated), owners[0])
    return owners[0] if owners else None


def _owners(environment: Environment, name: str, place: Path | None) -> list[Distribution]:
    """Owners by their file lists; else the editable or record-less distribution of the same name."""
    owners = list(environment.owners(name))
    if not owners:
        editable = [each for each in environment.distributions if each.editable and place is not None]
        owners = [each for each in editable if place and place.is_relative_to(each.editable or "/nowhere")]
    if not owners and (same := environment.find(name)) is not None:
        owners = [same]
    return owners
