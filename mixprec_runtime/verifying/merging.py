"""Merging: what was read and what was proved of one layer's candidates, as one choice."""

from __future__ import annotations

__all__ = ["merge"]

from dataclasses import replace

from mixprec_doctor.records.kernel import KernelChoice, Proof, Tier, Verdict
from mixprec_doctor.records.workload import WorkloadLayer
from mixprec_runtime.verifying.hearing import Heard

PLACEHOLDER = "placeholder"
OWN_CHOICE = "the engine's own choice"
ANOTHER = "another kernel of the engine"
CHEAPER = 2.0
TIERS = (Tier.NATIVE, Tier.PORTABLE, Tier.PLACEHOLDER)


def merge(
    layer: WorkloadLayer, heard: Heard, *, engine: str, dtype: str, read: KernelChoice | None = None
) -> KernelChoice:
    """The choice for a layer: a proof decides over its candidate, what was read stays where nothing was proved.

    Once something worked, candidates of its tier and of those below that were not tried stay as they were read, but
    behind it. A placeholder ends the list; it is accepted only where everything before it is rejected.
    """
    known = {each.candidate: each for each in read.verdicts} if read is not None else {}
    proved = {}
    for tier, proof in heard.proofs:
        name = proof.kernel or OWN_CHOICE
        proved[name] = _proved(name, tier, proof, known.get(name))
    worked = next((each for each in proved.values() if each.accepted), None)
    verdicts = _without_slow([*proved.values()])
    for name, each in known.items():
        if name not in proved and each.tier is not Tier.PLACEHOLDER:
            verdicts.append(_behind(each, worked, heard))
    listed = {each.candidate for each in verdicts}
    verdicts += [
        Verdict(candidate=name, tier=Tier.PORTABLE, accepted=False, reasons=(why,))
        for name, why in heard.refused.items() if name not in listed
    ]  # fmt: skip
    natives = [each for each in verdicts if each.tier is Tier.NATIVE]
    if heard.none_left is not None and all(each.proof is not None for each in natives):
        name = ANOTHER if natives else OWN_CHOICE
        verdicts.append(Verdict(candidate=name, tier=Tier.NATIVE, accepted=False, reasons=(heard.none_left,)))
    order = [*known, *proved, *heard.refused, ANOTHER, OWN_CHOICE]
    verdicts.sort(key=lambda each: (TIERS.index(each.tier), _place(each, order)))
    untried = heard.fault if heard.fault is not None else None if heard.finished else "the time was used up"
    if untried is not None and not any(each.accepted is not False for each in verdicts):
        words = (f"not tried: {untried}",)
        verdicts.insert(0, Verdict(candidate=OWN_CHOICE, tier=Tier.NATIVE, accepted=None, reasons=words))
    verdicts.append(_placeholder(verdicts))
    return KernelChoice(
        engine=engine, format=layer.format, shape=layer.shape, dtype=dtype, verdicts=tuple(verdicts),
        source=layer.source, folder=layer.folder or None, modules=layer.modules,
    )  # fmt: skip


def _proved(name: str, tier: Tier, proof: Proof, read: Verdict | None) -> Verdict:
    reasons = (proof.fault,) if proof.fault is not None else ()
    if read is None:
        return Verdict(candidate=name, tier=tier, accepted=proof.worked, reasons=reasons, proof=proof)
    said = read.reasons if read.accepted is not True and not proof.worked else ()
    return replace(read, accepted=proof.worked, reasons=(*reasons, *said), proof=proof)


def _without_slow(proved: list[Verdict]) -> list[Verdict]:
    """A slow kernel of the engine gives way to a portable one that takes less than half its time for a request.

    Only kernels that are several times slower than 16 bits are asked, and half is far from equal, so that what
    disturbs a measurement does not decide.
    """
    best = next((each for each in proved if each.tier is Tier.PORTABLE and each.accepted), None)
    mine = best.proof.request_seconds if best is not None and best.proof is not None else None
    if best is None or mine is None:
        return proved
    return [
        replace(each, accepted=False, reasons=(_slow_words(each.proof, best),))
        if each.tier is Tier.NATIVE
        and each.accepted
        and each.proof is not None
        and each.proof.slow
        and (theirs := each.proof.request_seconds) is not None
        and mine * CHEAPER < theirs
        else each
        for each in proved
    ]


def _slow_words(slow: Proof, best: Verdict) -> str:
    own = next(each.ratio for each in slow.timings if each.rows == 1)
    other = next(each.ratio for each in best.proof.timings if each.rows == 1) if best.proof is not None else 0.0
    return f"works, and takes {own:.0f} times as long as 16 bits at 1 row; {best.candidate} takes {other:.1f} times"


def _behind(read: Verdict, worked: Verdict | None, heard: Heard) -> Verdict:
    """A candidate that was read and not tried."""
    if read.candidate in heard.refused:
        return replace(read, accepted=False, reasons=(heard.refused[read.candidate],))
    if read.accepted is False or not heard.finished or heard.fault is not None:
        return read
    if read.tier is Tier.NATIVE and (worked is None or worked.tier is not Tier.NATIVE):
        words = heard.none_left or "the engine did not choose it"
        return replace(read, accepted=False, reasons=(words,))
    return read


def _place(verdict: Verdict, order: list[str]) -> tuple[int, int]:
    """In the engine's order, but for what was neither tried nor rejected: that comes behind what was."""
    decided = verdict.proof is not None or verdict.accepted is False
    return (0 if decided else 1, order.index(verdict.candidate) if verdict.candidate in order else -1)


def _placeholder(verdicts: list[Verdict]) -> Verdict:
    served = any(each.accepted is not False for each in verdicts)
    reasons = ("raises when it is used",)
    return Verdict(candidate=PLACEHOLDER, tier=Tier.PLACEHOLDER, accepted=not served, reasons=reasons)
