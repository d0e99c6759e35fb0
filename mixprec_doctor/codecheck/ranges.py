"""Ranges: the releases in which some code works, as one requirement."""

from __future__ import annotations

__all__ = ["working_range"]

from collections.abc import Iterable, Sequence

from packaging.version import InvalidVersion, Version

from mixprec_doctor.records.codefinding import WorkingRange


def working_range(distribution: str, versions: Sequence[str], broken: Iterable[str]) -> WorkingRange:
    """The newest releases without a break in which nothing is broken; older ones are left out where many are broken
    between, and single broken ones are named. ``versions`` are all that were looked at, oldest first.

    The requirement has an upper bound only where a later release is broken.
    """
    bad = set(broken)
    good = [each for each in versions if each not in bad]
    if not good:
        return WorkingRange(distribution=distribution, requirement=None, versions=())
    first, last = _stretch(versions, bad)
    inside = versions[first : last + 1]
    parts = [f">={versions[first]}"] if first or len(versions) > 1 else [f"=={versions[0]}"]
    if last + 1 < len(versions):
        near = _is_prerelease(versions[last]) or _is_prerelease(versions[last + 1])
        # "<1.0" leaves 1.0rc1 out, and a bound that is one itself lets others of its version through.
        parts.append(f"<={versions[last]}" if near else f"<{versions[last + 1]}")
    parts += [f"!={each}" for each in inside if each in bad]
    return WorkingRange(
        distribution=distribution,
        requirement=f"{distribution}{','.join(parts)}",
        versions=tuple(each for each in inside if each not in bad),
    )


def _stretch(versions: Sequence[str], bad: set[str]) -> tuple[int, int]:
    """The first and last release of the best stretch: it begins and ends with a good one, has the most good ones, and
    in it fewer are broken than work on either side of each break; of two alike the newer."""
    runs: list[tuple[int, int]] = []
    for at, each in enumerate(versions):
        if each in bad:
            continue
        if runs and runs[-1][1] == at - 1:
            runs[-1] = (runs[-1][0], at)
        else:
            runs.append((at, at))
    joined: list[tuple[int, int]] = []
    for run in runs:
        if joined:
            before = joined[-1]
            gap = run[0] - before[1] - 1
            if gap < min(_good(before, versions, bad), _good(run, versions, bad)):
                joined[-1] = (before[0], run[1])
                continue
        joined.append(run)
    return max(joined, key=lambda each: (_good(each, versions, bad), each))


def _good(run: tuple[int, int], versions: Sequence[str], bad: set[str]) -> int:
    return sum(each not in bad for each in versions[run[0] : run[1] + 1])


def _is_prerelease(version: str) -> bool:
    try:
        return Version(version).is_prerelease
    except InvalidVersion:
        return False
