"""What a setup proves, what has drifted, and what was proved anew, in lines for standard error."""

from __future__ import annotations

__all__ = ["portable_text", "proved_text", "rehearsed_text", "revalidated_text"]

from typing import TYPE_CHECKING

from mixprec_doctor.records.kernel import Tier
from mixprec_runtime.reports.account_text import replaced_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixprec_doctor.records.kernel import KernelChoice
    from mixprec_doctor.records.setup import Setup
    from mixprec_doctor.records.workload import WorkloadLayer
    from mixprec_runtime.launching.verified import Verified

_SHOWN = 12


def revalidated_text(verified: Verified) -> str:
    """Which setup was looked at, everything that is not as it was, and what has to be proved."""
    if verified.setup is None:
        return f"no setup proves the kernels of this mixture yet: {_layers(verified)} to prove\n"
    head = f"setup {verified.file} of {verified.setup.made}"
    counting = [each for each in verified.drifts if each.counts]
    lines = [f"  {each}" for each in counting[:_SHOWN]]
    lines += [f"  and {len(counting) - _SHOWN} more"] if len(counting) > _SHOWN else []
    beside = len(verified.drifts) - len(counting)
    if beside:
        lines.append(f"  beside: {beside} changes that the engine does not depend on")
    state = "holds" if not verified.missing else f"{_layers(verified)} to prove anew"
    changed = f"; {len(counting)} changed" if counting else ""
    text = f"{head}: {state}{changed} (looked at in {verified.seconds * 1000:.0f} ms)\n"
    return text + "".join(f"{line}\n" for line in lines)


def _layers(verified: Verified) -> str:
    missing = len(verified.missing)
    total = missing + len(verified.choices)
    return f"{missing} of {total} kinds of layer" if missing != total else f"{total} kinds of layer"


def proved_text(verified: Verified) -> str:
    """The kernel of each kind of layer, with what it replaces and why."""
    proved = sum(each.winner is not None and each.winner.proof is not None for each in verified.choices)
    lines = [f"{proved} of {len(verified.choices)} kinds of layer proved in {verified.seconds:.0f} s"]
    lines += _choice_lines(verified.choices)
    lines += [f"  {line}" for line in replaced_lines(verified.choices)]
    return "".join(f"{line}\n" for line in lines)


def portable_text(choices: Sequence[KernelChoice]) -> str:
    """The kernel of each kind of layer of the embedded engine, which has none but mixprec's own."""
    served: dict[str, list[str]] = {}
    for choice in choices:
        if choice.winner is not None:
            served.setdefault(choice.winner.candidate, []).append(choice.format.name)
    told = "; ".join(f"{kernel} for {', '.join(dict.fromkeys(names))}" for kernel, names in served.items())
    return f"engine torch, kernels of mixprec's own: {told}\n" if told else ""


def rehearsed_text(
    setup: Setup, choices: Sequence[KernelChoice], missing: Sequence[WorkloadLayer], *, place: str
) -> str:
    """What a setup made elsewhere says of this mixture there; ``place`` is its file."""
    machine = ", ".join(f"{name} {value}" for name, value in setup.fingerprint.machine.items() if "gpu" in name.lower())
    lines = [
        f"rehearsal of {setup.engine} {setup.version or ''} as {place} found it on {setup.made}"
        + (f" ({machine})" if machine else "")
        + "; nothing is compared with this machine"
    ]
    lines += _choice_lines(choices)
    lines += [
        f"  {layer.format.name} {layer.shape} ({len(layer.modules)} modules): nothing is proved of it there; "
        "the launch will try kernels first"
        for layer in missing
    ]
    return "".join(f"{line}\n" for line in lines)


def _choice_lines(choices: Sequence[KernelChoice]) -> list[str]:
    lines = []
    for choice in choices:
        winner = choice.winner
        count = len(choice.modules)
        name = "none" if winner is None else winner.candidate
        tier = "" if winner is None or winner.tier is Tier.NATIVE else f" ({winner.tier.value})"
        error = ""
        if winner is not None and winner.proof is not None and winner.proof.error is not None:
            error = f", error {winner.proof.error:.2%}"
        lines.append(f"  {choice.format.name} {choice.shape} ({count} modules): {name}{tier}{error}")
        if winner is not None and winner.accepted is None:
            lines += [f"    {reason}; the engine's own process tries it" for reason in winner.reasons]
    return lines
