"""MP511: no kernel serves layers of a format here."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Hashable, Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.kernel_groups import grave, group_choices, layers_of, without_numbers
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.kernel import KernelChoice, Tier, Verdict


def _find(patient: Patient) -> Iterator[Finding]:
    for alike in group_choices(patient.kernels, _key):
        first = alike[0]
        rejected = _rejected(first)
        yield Finding(
            code="MP511",
            severity=grave(alike, Severity.ERROR),
            engine=first.engine,
            summary=f"no kernel of {first.engine} or mixprec serves {first.format.name} here: {layers_of(alike)}",
            cause="only a placeholder is left, which raises when it is used; the launcher refuses it",
            evidence=tuple(f"{each.candidate}: {'; '.join(each.reasons) or 'rejected'}" for each in rejected),
            remedy=Remedy(
                text=(
                    "take a checkpoint in another format for these layers, or a build of the engine or a machine for "
                    "which one of the reasons does not hold"
                )
            ),
            subjects=(first.engine,),
        )


def _key(choice: KernelChoice) -> Hashable | None:
    winner = choice.winner
    if winner is not None and winner.tier is not Tier.PLACEHOLDER:
        return None
    return without_numbers(f"{each.candidate}: {each.reasons}" for each in _rejected(choice))


def _rejected(choice: KernelChoice) -> list[Verdict]:
    return [each for each in choice.verdicts if each.tier is not Tier.PLACEHOLDER]


CHECK = Check(
    code="MP511",
    title="No kernel for a format",
    promise="Layers of a checkpoint cannot be computed here: every kernel is rejected.",
    explanation=(
        "For each format and shape of a mixture all kernels of the engine are asked, then mixprec's own. Here none is "
        "left. The evidence has each candidate with its reason, in the engine's order: a compute capability, a shape "
        "that does not divide, a type of activations, a missing operator or library, or what happened when it was run."
    ),
    example="A format that only needs a GPU of compute capability 10.0, on a machine without any of mixprec's kernels.",
    cure="Another format for these layers, another build of the engine, or another machine.",
    find=_find,
)
