"""Extra pins: exact versions that an engine names in its extras only, and none of which is what is installed."""

from __future__ import annotations

__all__ = ["ExtraPin", "extra_pins"]

import re
from dataclasses import dataclass

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from mixprec_doctor.checks.check import Patient
from mixprec_doctor.environment.requirement import parse_requirement
from mixprec_doctor.records.environment import Distribution, InstalledEngine

_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


@dataclass(frozen=True, kw_only=True)
class ExtraPin:
    """A distribution that some extras pin exactly, and another version of it that is installed."""

    requirement: Requirement  # of the first extra that names it
    extras: tuple[str, ...]
    owner: Distribution
    installed: Distribution

    def __str__(self) -> str:
        names = ", ".join(self.extras)
        return (
            f"{self.owner.name} {self.owner.version} pins {self.requirement.name}{self.requirement.specifier} in its "
            f"extras ({names}), {self.installed.version} is installed"
        )


def extra_pins(engine: InstalledEngine, patient: Patient) -> tuple[ExtraPin, ...]:
    """Exact pins of extras that the environment meets in none of them; `pip check` never looks at extras."""
    owner = patient.environment.find(engine.distribution) if engine.distribution else None
    pinned: dict[str, list[tuple[str, Requirement]]] = {}
    for text in owner.requires if owner is not None else ():
        requirement = parse_requirement(text) if "==" in text and "extra" in text else None
        if requirement is None or [each.operator for each in requirement.specifier] != ["=="]:
            continue
        for extra in _EXTRA.findall(text):
            if _holds(requirement, extra, patient):
                pinned.setdefault(canonicalize_name(requirement.name), []).append((extra, requirement))
    found = []
    for name, pins in pinned.items():
        installed = patient.environment.find(name)
        if owner is None or installed is None or installed.version is None:
            continue
        if not any(_admits(requirement, installed.version) for _, requirement in pins):
            extras = tuple(dict.fromkeys(extra for extra, _ in pins))
            found.append(ExtraPin(requirement=pins[0][1], extras=extras, owner=owner, installed=installed))
    return tuple(found)


def _holds(requirement: Requirement, extra: str, patient: Patient) -> bool:
    if requirement.marker is None:
        return True
    try:
        return requirement.marker.evaluate({**patient.environment.interpreter.markers, "extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion, KeyError):
        return False


def _admits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True
