"""Pins: requirements that the environment does not meet, judged by what the code that made them takes at import."""

from __future__ import annotations

__all__ = [
    "KERNELS",
    "Pin",
    "engine_pins",
    "further_pins",
    "install_command",
    "names_of",
    "plain",
    "reached_packages",
    "reaches",
    "rivals",
]

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mixprec_doctor.checks.check import Patient
from mixprec_doctor.checks.requirements import (
    Judged,
    Verdict,
    exclude_each_other,
    installer,
    judge_requirements,
    needed,
)
from mixprec_doctor.records.environment import Distribution, InstalledEngine
from mixprec_doctor.records.role import Role
from mixprec_doctor.resolving.offers import Offer, Offers
from mixprec_doctor.resolving.providers import candidates
from mixprec_doctor.resolving.reach import Mention, Reach, read_reach
from mixprec_doctor.source.sources import Sources
from mixprec_doctor.source.tree import has_extension
from mixprec_doctor.source.truth import Truth

KERNELS = frozenset({"sgl-kernel", "sglang-kernel"})  # judged by MP114: they matter where a GPU is
_SHOWN = 6
_ENTRIES = (Role.LAUNCH_SERVER, Role.QUANTIZATION_REGISTRY, Role.DEFAULT_LOADER)


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A requirement that is not met, and what follows from that when its owner is imported."""

    requirement: Requirement
    owner: Distribution  # whose metadata says so
    package: str  # the import package of the owner
    installed: Distribution | None  # None: nothing of it is there
    reached: Mention | None = None  # an import of it that runs
    gone: tuple[str, ...] = ()  # what the owner takes of it and the installed version does not have

    @property
    def breaks(self) -> bool:
        """Whether an import certainly fails for it."""
        return bool(self.gone) or (self.installed is None and self.reached is not None)

    @property
    def is_far(self) -> bool:
        """Whether an exact pin and what is installed differ in their major version."""
        exact = [each.version for each in self.requirement.specifier if each.operator == "=="]
        installed = self.installed.version if self.installed is not None else None
        return bool(exact and installed) and exact[0].partition(".")[0] != (installed or "").partition(".")[0]

    def __str__(self) -> str:
        wanted = plain(self.requirement)
        where = f" ({self.reached})" if self.reached else ""
        if self.installed is None:
            return f"{self.owner.name} {self.owner.version} requires {wanted}{where}"
        there = f"{self.owner.name} {self.owner.version} requires {wanted}, {self.installed.version} is installed"
        if self.gone:
            return f"{there} and has no {', '.join(self.gone)}{where}"
        return f"{there}; " + ("all that is imported from it is there" if self.reached else "not imported at the start")


def plain(requirement: Requirement) -> str:
    """A requirement as pip takes it, without its marker."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def names_of(pins: Sequence[Pin]) -> str:
    """The names of what the pins are about, the first few of many."""
    names = sorted({pin.requirement.name for pin in pins}, key=str.lower)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def install_command(pins: Iterable[Pin], patient: Patient) -> str:
    """One line that installs all that the pins ask for."""
    wanted = " ".join(f"'{plain(pin.requirement)}'" for pin in pins)
    return f"{installer(patient.environment)} install {wanted}"


def rivals(pins: Iterable[Pin], patient: Patient) -> tuple[str, ...]:
    """What other engines of the environment require that excludes what the pins ask for."""
    found: list[str] = []
    for pin in pins:
        for engine in patient.engines:
            owner = patient.environment.find(engine.distribution) if engine.distribution else None
            for other in needed(owner, patient.environment) if owner is not None and owner.key != pin.owner.key else ():
                if canonicalize_name(other.name) == canonicalize_name(pin.requirement.name) and exclude_each_other(
                    pin.requirement.specifier, other.specifier
                ):
                    found.append(f"{owner.name if owner else engine.engine} {engine.version} requires {plain(other)}")
    return tuple(dict.fromkeys(found))


def reaches(patient: Patient, package: str) -> bool:
    """Whether an engine's start, or the code that was asked about, certainly imports a package."""
    asked = patient.code.packages() if patient.code is not None else set()
    return package in asked or package in reached_packages(patient)


def reached_packages(patient: Patient) -> frozenset[str]:
    """The packages that modules of the engines, or of what the code that was asked about imports, import themselves."""
    if patient.code is None:
        entries = [_entries(engine, patient) for engine in patient.engines if engine.root is not None]
    else:
        asked: dict[str, list[str]] = {}
        for _, module in patient.code.imported_modules():
            if (package := module.partition(".")[0]) not in sys.stdlib_module_names:
                asked.setdefault(package, [package]).append(module)
        entries = [tuple(dict.fromkeys(modules)) for modules in asked.values()]
    return frozenset(package for each in entries for package in _reach(each, patient).packages())


def engine_pins(engine: InstalledEngine, patient: Patient) -> tuple[Pin, ...]:
    """The engine's own requirements that are not met, those that break it first."""
    owner = patient.environment.find(engine.distribution) if engine.distribution else None
    unasked = patient.code is not None and not patient.code.concerns(engine.engine)
    if owner is None or unasked:
        return ()
    pins = _pins(owner, engine.engine, _entries(engine, patient), patient)
    return tuple(pin for pin in pins if canonicalize_name(pin.requirement.name) not in KERNELS)


def further_pins(patient: Patient) -> tuple[Pin, ...]:
    """Unmet requirements of what the engines, or the code that was asked about, require themselves, at any depth."""
    found: list[Pin] = []
    for owner in _closure(patient):
        if any(each.verdict is not Verdict.MET for each in _judged(owner, patient)):
            package = _package(owner)
            found += _pins(owner, package, (package,), patient)
    return tuple(found)


def _judged(owner: Distribution, patient: Patient) -> tuple[Judged, ...]:
    key = f"judged {owner.metadata}"
    if key not in patient.kept:
        patient.kept[key] = tuple(judge_requirements(owner, patient.environment))
    judged: tuple[Judged, ...] = patient.kept[key]
    return judged


def _pins(owner: Distribution, package: str, entries: tuple[str, ...], patient: Patient) -> tuple[Pin, ...]:
    key = f"pins {owner.key}"
    if key not in patient.kept:
        unmet = [each for each in _judged(owner, patient) if each.verdict is not Verdict.MET]
        pins: list[Pin] = []
        if unmet:
            reach = _reach(entries, patient)
            offers = Offers(patient.exports, patient.environment)
            pins = [
                _judge(
                    each.requirement,
                    each.installed,
                    owner=owner,
                    reach=reach,
                    offers=offers,
                    sources=patient.exports.sources,
                )
                for each in unmet
            ]
        patient.kept[key] = tuple(sorted(pins, key=lambda pin: not pin.breaks))
    pins_of_owner: tuple[Pin, ...] = patient.kept[key]
    return pins_of_owner


def _reach(entries: tuple[str, ...], patient: Patient) -> Reach:
    key = f"reach {' '.join(entries)}"
    if key not in patient.kept:
        patient.kept[key] = read_reach(patient.exports.sources, entries)
    reach: Reach = patient.kept[key]
    return reach


def _judge(
    requirement: Requirement,
    installed: Distribution | None,
    *,
    owner: Distribution,
    reach: Reach,
    offers: Offers,
    sources: Sources,
) -> Pin:
    mentions = [each for each in reach.mentions if _is_of(each, requirement, installed)]
    gone: dict[str, Mention] = {}
    doubtful: dict[str, Mention] = {}
    for mention in mentions if installed is not None else ():
        if offers.has_module(mention.target) is Truth.NO:
            gone.setdefault(mention.target, mention)
            continue
        for name in mention.names:
            offer = offers.offer(mention.target, name)
            if offer is Offer.NOTHING:
                gone.setdefault(f"{mention.target}.{name}", mention)
            elif offer is Offer.UNKNOWN and name.encode() not in (sources.text(mention.target) or name.encode()):
                doubtful.setdefault(f"{mention.target}.{name}", mention)
    for wanted in _nowhere(doubtful, sources):
        gone.setdefault(wanted, doubtful[wanted])
    return Pin(
        requirement=requirement,
        owner=owner,
        package=reach.package,
        installed=installed,
        reached=next(iter(gone.values()), None) or next(iter(mentions), None),
        gone=tuple(gone),
    )


def _nowhere(wanted: Iterable[str], sources: Sources) -> Iterator[str]:
    """Of names that lazy packages may compute, those that no file of the package so much as mentions."""
    packages: dict[str, dict[str, bytes]] = {}
    for dotted in wanted:
        packages.setdefault(dotted.partition(".")[0], {})[dotted] = dotted.rpartition(".")[2].encode()
    for package, left in packages.items():
        names = left
        tree = sources.tree(package)
        if tree is None or has_extension(tree, package):
            continue  # compiled: what it has is not known
        texts = (tree.read(path) or b"" for path in tree.walk(package))
        while names and (text := next(texts, None)) is not None:
            names = {dotted: name for dotted, name in names.items() if name not in text}
        yield from names


def _is_of(mention: Mention, requirement: Requirement, installed: Distribution | None) -> bool:
    """Whether an import names something of the required distribution."""
    if installed is not None and mention.target.partition(".")[0] in installed.packages:
        return True
    return canonicalize_name(requirement.name) in candidates(mention.target)


def _entries(engine: InstalledEngine, patient: Patient) -> tuple[str, ...]:
    """The modules that are asked about: those that the code names, else those that a server is started from."""
    if patient.code is not None:
        asked = [name for _, name in patient.code.imported_modules() if name.partition(".")[0] == engine.engine]
        return tuple(dict.fromkeys([engine.engine, *asked]))
    roles = patient.roles.get(engine.engine, ())
    found = [each.module for each in roles if each.role in _ENTRIES and each.module]
    return tuple(dict.fromkeys([engine.engine, *found]))


def _closure(patient: Patient) -> Iterator[Distribution]:
    """What the engines and the asked code require, directly or not; the engines themselves are judged elsewhere."""
    environment = patient.environment
    own = {each.distribution for each in patient.engines}
    names = [each.distribution for each in patient.engines if each.distribution]
    waiting = [found for name in names if (found := environment.find(name)) is not None]
    if patient.code is not None:
        waiting += [each for package in sorted(patient.code.packages()) for each in environment.owners(package)]
    seen: set[str] = set()
    while waiting:
        current = waiting.pop(0)
        if current.key in seen:
            continue
        seen.add(current.key)
        if current.name not in own:
            yield current
        waiting += [each.installed for each in _judged(current, patient) if each.installed is not None]


def _package(owner: Distribution) -> str:
    """The import package that stands for a distribution: the one of its name, else its first."""
    named = owner.key.replace("-", "_")
    plain_names = {each.lower(): each for each in owner.packages}
    return plain_names.get(named) or next((each for each in owner.packages if not each.startswith("_")), named)
