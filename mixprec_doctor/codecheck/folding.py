"""Folding: what many releases said, put together to one finding for each fault of the code."""

from __future__ import annotations

__all__ = ["Folded", "fold"]

from collections.abc import Sequence
from dataclasses import dataclass

from mixprec_doctor.codecheck.faults import Fault
from mixprec_doctor.codecheck.judging import Verdicts


@dataclass(frozen=True, kw_only=True)
class Folded:
    """One fault of the code: as the newest release says it, and the releases that have it, oldest first.

    ``fine`` are the releases in which the same line was looked at and is fine.
    """

    fault: Fault
    releases: tuple[int, ...]  # places in the sequence of verdicts
    fine: tuple[int, ...]


def fold(verdicts: Sequence[Verdicts]) -> tuple[Folded, ...]:
    """The faults of one package's releases, which come oldest first. What is an error in some releases and guarded in
    others makes two."""
    found: dict[tuple[object, ...], list[tuple[int, Fault]]] = {}
    for at, each in enumerate(verdicts):
        for fault in each.faults:
            key = (fault.code, fault.spot.place, fault.subject, fault.keyword, fault.severity)
            found.setdefault(key, []).append((at, fault))
    return tuple(
        Folded(
            fault=group[-1][1],
            releases=tuple(dict.fromkeys(at for at, _ in group)),
            fine=tuple(at for at, each in enumerate(verdicts) if group[-1][1].need in each.met),
        )
        for group in found.values()
    )
