"""Grouping: root causes first, and each follow-up fault beneath the finding that explains it."""

from __future__ import annotations

__all__ = ["group"]

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from mixprec_doctor.records.finding import Finding, Severity

_GRAVITY = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def group(
    findings: Sequence[Finding], explains: Mapping[str, Sequence[str]], *, exact: Collection[str] = ()
) -> tuple[Finding, ...]:
    """The findings in their order, but every one that another explains comes right after that one.

    ``explains`` gives, by code, the codes that follow from a finding where the two share a subject: the same import
    name, or one below the other; for the codes in ``exact`` only the same. Of several that explain a finding the
    first is taken; a circle is cut where it would close. A lesser finding never explains a graver one.
    """
    causes: dict[int, int] = {}
    for index, finding in enumerate(findings):
        for other, root in enumerate(findings):
            if other != index and index not in _above(other, causes) and _explains(root, finding, explains, exact):
                causes[index] = other
                break
    grouped: list[Finding] = []
    waiting = [index for index in reversed(range(len(findings))) if index not in causes]
    while waiting:
        index = waiting.pop()
        cause = causes.get(index)
        grouped.append(findings[index] if cause is None else replace(findings[index], follows=findings[cause].code))
        waiting += [follower for follower in sorted(causes, reverse=True) if causes[follower] == index]
    return tuple(grouped)


def _above(index: int, causes: Mapping[int, int]) -> list[int]:
    """A finding's cause, the cause of that, and so on."""
    above = []
    while index in causes:
        index = causes[index]
        above.append(index)
    return above


def _explains(root: Finding, finding: Finding, explains: Mapping[str, Sequence[str]], exact: Collection[str]) -> bool:
    if _GRAVITY.index(root.severity) > _GRAVITY.index(finding.severity):
        return False
    if finding.code in exact and not set(root.subjects) & set(finding.subjects):
        return False
    return finding.code in explains.get(root.code, ()) and any(
        _related(one, other) for one in root.subjects for other in finding.subjects
    )


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")
