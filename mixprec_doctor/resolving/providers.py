"""Providers: which distribution holds an import name, and in which version the metadata asks for it."""

from __future__ import annotations

__all__ = ["Providers", "candidates", "cure", "known_prefix", "required_packages"]

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property, lru_cache

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from mixprec_doctor.environment.engines import find_engines
from mixprec_doctor.environment.requirement import parse_requirement
from mixprec_doctor.records.environment import Distribution, Environment
from mixprec_doctor.records.need import ABSENT, Need
from mixprec_doctor.resolving.importnames import DISTRIBUTIONS_OF
from mixprec_doctor.source.truth import Truth

_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


class Providers:
    """Distributions of an environment, asked by import name. Metadata is read once, and only when asked."""

    def __init__(self, environment: Environment, engine: str) -> None:
        self._environment = environment
        self._engine = engine
        self._unmet: dict[str, Mapping[str, Requirement]] = {}
        self._doubts: dict[str, frozenset[str]] = {}
        self._fits: dict[str, Truth] = {}

    def owner(self, module: str) -> Distribution | None:
        """The installed distribution that holds a module; None when none or several could."""
        top = module.partition(".")[0]
        if top == self._engine:
            return self._engine_distribution
        owners = self._owners.get(top, ())
        return owners[0] if len(owners) == 1 else self._environment.find(top)

    def requirement(self, wanted: str, asker: str) -> str | None:
        """What to install for a dotted import name, as pip takes it; None when nothing names it.

        The distribution of the asking module is believed first, then the engine, then any other that is
        installed; last the hand-kept table, where it knows only one distribution.
        """
        keys = candidates(wanted)
        first = [each for each in (self.owner(asker), self._engine_distribution) if each is not None]
        for each in (*first, *self._environment.distributions):
            found = self._named(each, keys, extras=each in first)  # what others want for extras is no advice here
            if found is not None:
                return _plain(found)
        known = DISTRIBUTIONS_OF.get(known_prefix(wanted), ())
        return known[0] if len(known) == 1 else None

    def lacks(self, asker: str, wanted: str) -> bool:
        """Whether the distribution of the asking module requires what holds ``wanted``, in vain."""
        owner = self.owner(asker)
        return owner is not None and bool(self._unmet_of(owner).keys() & candidates(wanted))

    def doubts(self, module: str) -> frozenset[str]:
        """What the distribution of a module requires in vain, itself or through what it requires; normalized names."""
        top = module.partition(".")[0]
        if top not in self._doubts:
            owner = self.owner(top)
            closure = self._closure(owner) if owner is not None else ()  # nothing is known against it
            self._doubts[top] = frozenset(key for each in closure for key in self._unmet_of(each))
        return self._doubts[top]

    def fits(self, module: str) -> Truth:
        """Whether the distribution that holds a module has a version that the engine asks for."""
        top = module.partition(".")[0]
        if top not in self._fits:
            self._fits[top] = self._judge_fit(top)
        return self._fits[top]

    def _judge_fit(self, module: str) -> Truth:
        owner, engine = self.owner(module), self._engine_distribution
        if owner is None or engine is None:
            return Truth.UNKNOWN
        if owner.key in self._unmet_of(engine):
            return Truth.NO
        asked = self._named(engine, frozenset((owner.key,)), extras=False)
        return Truth.YES if asked is not None and asked.specifier else Truth.UNKNOWN

    def version(self, module: str) -> str | None:
        """The version of the distribution that holds a module."""
        owner = self.owner(module)
        return owner.version if owner is not None else None

    def _closure(self, distribution: Distribution) -> Iterator[Distribution]:
        seen = {distribution.key}
        waiting = [distribution]
        while waiting:
            yield (current := waiting.pop())
            for key in _required_names(current.requires):
                found = self._environment.find(key)
                if found is not None and found.key not in seen:
                    seen.add(found.key)
                    waiting.append(found)

    def _unmet_of(self, distribution: Distribution) -> Mapping[str, Requirement]:
        """What a distribution requires and does not find in the version it wants, by normalized name."""
        if distribution.key not in self._unmet:
            found = (requirement for _, requirement in self._requirements(distribution, extras=False))
            self._unmet[distribution.key] = {
                canonicalize_name(each.name): each for each in found if not self._is_met(each)
            }
        return self._unmet[distribution.key]

    def _is_met(self, requirement: Requirement) -> bool:
        installed = self._environment.find(requirement.name)
        if installed is None:
            return False
        if installed.version is None or requirement.url:
            return True
        try:
            return requirement.specifier.contains(installed.version, prereleases=True)
        except InvalidVersion:
            return True

    def _named(self, distribution: Distribution, keys: frozenset[str], *, extras: bool) -> Requirement | None:
        """The requirement on one of some distributions; those of extras come last."""
        found = list(self._requirements(distribution, extras=extras, among=keys))
        return min(found, key=lambda each: each[0])[1] if found else None

    def _requirements(
        self, distribution: Distribution, *, extras: bool, among: frozenset[str] | None = None
    ) -> Iterator[tuple[bool, Requirement]]:
        """Requirements whose markers hold here, each with whether only an extra asks for it."""
        for text in distribution.requires:
            named = _EXTRA.findall(text)
            if (named and not extras) or (among is not None and _name_of(text) not in among):
                continue
            requirement = parse_requirement(text)
            if requirement is None:
                continue
            if any(self._holds(requirement, extra) for extra in ("", *named)):
                yield bool(named), requirement

    def _holds(self, requirement: Requirement, extra: str) -> bool:
        if requirement.marker is None:
            return True
        try:
            return requirement.marker.evaluate({**self._environment.interpreter.markers, "extra": extra})
        except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion, KeyError):
            return False

    @cached_property
    def _engine_distribution(self) -> Distribution | None:
        for each in find_engines(self._environment):
            if each.engine == self._engine and each.distribution is not None:
                return self._environment.find(each.distribution)
        return None

    @cached_property
    def _owners(self) -> Mapping[str, tuple[Distribution, ...]]:
        owners: dict[str, dict[str, Distribution]] = {}
        for each in self._environment.distributions:
            for package in each.packages:
                owners.setdefault(package, {}).setdefault(each.key, each)
        return {package: tuple(found.values()) for package, found in owners.items()}


def cure(needs: Sequence[Need], environment: Environment) -> str | None:
    """One line that installs whatever the needs name, for that interpreter; None when they name nothing.

    Where several ask for one distribution, their bounds are joined. Pip is told to upgrade where something is
    there in a version that lacks what is needed: a bound may allow that very version.
    """
    wanted: dict[str, Requirement] = {}
    for need in needs:
        if need.distribution is None or (asked := parse_requirement(need.distribution)) is None:
            continue
        known = wanted.setdefault(canonicalize_name(asked.name), copy(asked))
        known.specifier = known.specifier & asked.specifier
        known.extras = known.extras | asked.extras
    if not wanted:
        return None
    python = shlex.quote(environment.interpreter.executable or "python")
    upgrade = "--upgrade " if any(need.distribution and need.reason != ABSENT for need in needs) else ""
    return f"{python} -m pip install {upgrade}" + " ".join(f'"{_plain(wanted[key])}"' for key in sorted(wanted))


def required_packages(environment: Environment, packages: Iterable[str]) -> frozenset[str]:
    """The import packages of every distribution that those of some packages require, directly or not."""
    wanted = set(packages)
    waiting = [each for each in environment.distributions if wanted & set(each.packages)]
    seen = {each.key for each in waiting}
    while waiting:
        for key in _required_names(waiting.pop().requires):
            found = environment.find(key)
            if found is not None and found.key not in seen:
                seen.add(found.key)
                waiting.append(found)
    return frozenset(name for each in environment.distributions if each.key in seen for name in each.packages)


def known_prefix(wanted: str) -> str:
    """The part of a dotted name that a distribution stands for: its top, or a longer one that the table has."""
    parts = wanted.split(".")
    for length in range(len(parts), 1, -1):
        if (prefix := ".".join(parts[:length])) in DISTRIBUTIONS_OF:
            return prefix
    return parts[0]


def candidates(wanted: str) -> frozenset[str]:
    """Normalized names of the distributions that could hold a dotted import name."""
    prefix = known_prefix(wanted)
    own = () if "." in prefix else (canonicalize_name(prefix),)
    return frozenset((*own, *DISTRIBUTIONS_OF.get(prefix, ())))


def _required_names(requires: tuple[str, ...]) -> Iterator[str]:
    return (_name_of(text) for text in requires if not _EXTRA.search(text))


@lru_cache(maxsize=8192)
def _name_of(text: str) -> str:
    return canonicalize_name(re.split(r"[^\w.-]", text.strip(), maxsplit=1)[0])


def _plain(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}" + (f" @ {requirement.url}" if requirement.url else str(requirement.specifier))
