"""MP512: the engine uses another kernel than reading its source foresaw."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Hashable, Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.kernel_groups import group_choices, layers_of
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.kernel import KernelChoice, Tier, Verdict


def _find(patient: Patient) -> Iterator[Finding]:
    for alike in group_choices(patient.kernels, _key):
        first = alike[0]
        winner, foreseen = first.winner, _foreseen(first)
        assert winner is not None and foreseen is not None  # noqa: S101  the key asked
        yield Finding(
            code="MP512",
            severity=Severity.INFO,
            engine=first.engine,
            summary=f"{first.engine} takes {winner.candidate} for {first.format.name}, not {foreseen.candidate}",
            cause=f"reading its source foresaw the other one, for {layers_of(alike)}; what was run counts",
            evidence=tuple(f"{foreseen.candidate}: {reason}" for reason in foreseen.reasons),
            subjects=(winner.module or first.engine,),
        )


def _key(choice: KernelChoice) -> Hashable | None:
    winner, foreseen = choice.winner, _foreseen(choice)
    if winner is None or winner.proof is None or foreseen is None or winner.foreseen:
        return None
    return winner.candidate, foreseen.candidate


def _foreseen(choice: KernelChoice) -> Verdict | None:
    """The kernel of the engine that reading settled on and that nobody has tried."""
    return next(
        (
            each
            for each in choice.verdicts
            if each.foreseen
            and each.proof is None
            and (each.tier is Tier.NATIVE)
            and not _undecided_before(choice, each)
        ),
        None,
    )


def _undecided_before(choice: KernelChoice, foreseen: Verdict) -> bool:
    """Whether reading left open if one before it would be taken: then it foresaw nothing."""
    for verdict in choice.verdicts:
        if verdict is foreseen:
            return False
        if verdict.accepted is None:
            return True
    return False


CHECK = Check(
    code="MP512",
    title="Another kernel than reading foresaw",
    promise="What the engine really uses differs from what its source says.",
    explanation=(
        "Before anything runs, the engine's own checks of its kernels are read and evaluated. With `--verify` the "
        "layer is then really made, and the engine names the kernel that it took. Where the two differ, the run is "
        "right; the reading missed something, such as a setting of the engine or a fact that only hardware tells."
    ),
    example="An environment variable that disables a kernel is set where the engine runs.",
    cure="None is needed. A report of the difference helps to make the reading better.",
    find=_find,
)
