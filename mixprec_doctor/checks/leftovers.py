"""MP105: what an interrupted installation left behind."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.records.finding import Finding, Remedy, Severity


def _find(patient: Patient) -> Iterator[Finding]:
    left = patient.environment.leftovers
    if left:
        yield Finding(
            code="MP105",
            severity=Severity.INFO,
            summary=f"{len(left)} leftovers of interrupted installations",
            cause=left[0].reason,
            evidence=tuple(each.path for each in left),
            remedy=Remedy(
                text="they take room and make pip warn, nothing more; remove them",
                commands=tuple(f"rm -r '{each.path}'" for each in left),
            ),
        )


CHECK = Check(
    code="MP105",
    title="Leftovers of an interrupted installation",
    promise="Folders whose names begin with ~ lie in site-packages.",
    explanation=(
        "pip renames what it is about to remove, and renames it back when something fails. If it is "
        "killed in "
        "between, the renamed folders stay. Nothing imports them; gigabytes of them may fill a disk."
    ),
    example="`site-packages/~orch` after a `pip install torch` that ran out of space.",
    cure="Remove the folders that begin with `~`.",
    find=_find,
)
