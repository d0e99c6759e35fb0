"""Requirements of a distribution, judged against what the environment has."""

from __future__ import annotations

__all__ = ["Judged", "Verdict", "exclude_each_other", "installer", "judge_requirements", "needed"]

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from mixprec_doctor.environment.requirement import parse_requirement
from mixprec_doctor.records.environment import Distribution, Environment


class Verdict(str, Enum):
    """How a requirement fares."""

    MET = "met"
    MISSING = "missing"
    VIOLATED = "violated"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One requirement that holds for the environment, and what it meets there."""

    requirement: Requirement
    verdict: Verdict
    installed: Distribution | None


def judge_requirements(distribution: Distribution, environment: Environment) -> Iterator[Judged]:
    """The distribution's requirements, without those of extras or of other platforms."""
    for requirement in needed(distribution, environment):
        installed = environment.find(requirement.name)
        yield Judged(requirement=requirement, verdict=_verdict(requirement, installed), installed=installed)


def needed(distribution: Distribution, environment: Environment) -> Iterator[Requirement]:
    """The requirements whose markers hold in the environment; unreadable ones are left out."""
    markers = {**environment.interpreter.markers, "extra": ""}
    for text in distribution.requires:
        if "extra ==" in text and " or " not in text:
            continue  # not worth parsing: no extra is asked for
        requirement = parse_requirement(text)
        if requirement is None:
            continue
        try:
            if requirement.marker is None or requirement.marker.evaluate(dict(markers)):
                yield requirement
        except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion, KeyError):
            continue


def exclude_each_other(left: SpecifierSet, right: SpecifierSet) -> bool:
    """Whether no version can satisfy both: an exact pin outside the other, or ranges that do not meet."""
    both = SpecifierSet(f"{left},{right}" if str(left) and str(right) else f"{left}{right}")
    exact = [each for each in both if each.operator == "==" and not each.version.endswith(".*")]
    if exact:
        return not any(both.contains(each.version, prereleases=True) for each in exact)
    lower = [Version(each.version) for each in both if each.operator in (">=", ">", "~=")]
    upper = [each for each in both if each.operator in ("<", "<=")]
    return bool(lower) and any(_below(each, max(lower)) for each in upper)


def _below(limit: Specifier, floor: Version) -> bool:
    ceiling = Version(limit.version)
    return ceiling < floor or (ceiling == floor and limit.operator == "<")


def installer(environment: Environment) -> str:
    """How to call pip for the environment, as it can be typed."""
    return f"{environment.interpreter.executable or 'python'} -m pip"


def _verdict(requirement: Requirement, installed: Distribution | None) -> Verdict:
    if installed is None:
        return Verdict.MISSING
    if installed.version is None or requirement.url:
        return Verdict.MET  # nothing to compare; broken metadata is another finding's business
    try:
        met = requirement.specifier.contains(installed.version, prereleases=True)
    except InvalidVersion:
        return Verdict.MET
    return Verdict.MET if met else Verdict.VIOLATED
