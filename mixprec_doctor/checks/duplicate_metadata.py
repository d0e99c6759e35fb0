"""MP104: one distribution registered twice in one folder."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.requirements import installer
from mixprec_doctor.records.environment import Distribution
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    places: dict[tuple[str, str], list[Distribution]] = {}
    for distribution in patient.environment.distributions:
        places.setdefault((distribution.location, distribution.key), []).append(distribution)
    for copies in places.values():
        if len(copies) > 1:
            name = copies[0].name
            versions = ", ".join(each.version or "unknown" for each in copies)
            yield Finding(
                code="MP104",
                severity=Severity.WARNING,
                engine=name if patient.engine(name) else None,
                summary=f"{name} is registered {len(copies)} times ({versions})",
                cause=(
                    "an upgrade was interrupted, or a folder was copied over another: which version runs is not certain"
                ),
                evidence=tuple(each.metadata for each in copies),
                remedy=Remedy(
                    text="install it again; remove the older metadata folder if it stays",
                    commands=(f"{installer(patient.environment)} install --force-reinstall --no-deps {name}",),
                ),
            )


CHECK = Check(
    code="MP104",
    title="A distribution is registered twice",
    promise="One folder holds several metadata folders of the same distribution.",
    explanation=(
        "importlib.metadata takes the first that it meets, pip may take another, and the files belong "
        "to one of "
        "them only. Version checks at start-up then compare the wrong number."
    ),
    example="`transformers-4.52.3.dist-info` beside `transformers-4.55.0.dist-info` in one site-packages.",
    cure="`pip install --force-reinstall --no-deps NAME`; delete the older folder if it is still there.",
    find=_find,
)
