"""What kernels that were tried cost: times against 16 bits, in words."""

from __future__ import annotations

__all__ = ["cost"]

from collections.abc import Iterable

from mixprec_doctor.records.kernel import KernelChoice


def cost(choices: Iterable[KernelChoice]) -> list[str]:
    """What the winners take against 16 bits, by the number of rows, where it was measured."""
    ratios: dict[int, list[float]] = {}
    for choice in choices:
        proof = choice.winner.proof if choice.winner is not None else None
        for timing in proof.timings if proof is not None else ():
            ratios.setdefault(timing.rows, []).append(timing.ratio)
    lines = []
    for rows, found in sorted(ratios.items()):
        least, most = f"{min(found):.1f}", f"{max(found):.1f}"
        span = least if least == most else f"{least} to {most}"
        lines.append(f"{span} times as long as 16 bits at {rows} row{'s' if rows > 1 else ''}")
    return lines
