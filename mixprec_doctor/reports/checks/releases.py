"""Releases of a finding in few words: "0.10.2 to 0.24.0, 0.25.1 on"."""

from __future__ import annotations

__all__ = ["compact", "held_against", "where_it_holds"]

from collections.abc import Iterator, Sequence

from mixprec_doctor.records.codefinding import Checked, CodeFinding


def compact(some: Sequence[str], known: Sequence[str]) -> str:
    """Some of the known releases, oldest first, as runs; a run of several that reaches the newest goes ``on``."""
    wanted = frozenset(some)
    if known and all(version in wanted for version in known):
        return known[0] if len(known) == 1 else f"all {len(known)}, {known[0]} to {known[-1]}"
    words = []
    for run in _runs(wanted, known):
        if run[-1] == known[-1] and len(known) > 1:
            words.append(f"{run[0]} on")
        else:
            words.append(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}")
    strangers = [version for version in some if version not in frozenset(known)]
    return ", ".join([*words, *strangers])


def _runs(wanted: frozenset[str], known: Sequence[str]) -> Iterator[list[str]]:
    run: list[str] = []
    for version in known:
        if version in wanted:
            run.append(version)
        elif run:
            yield run
            run = []
    if run:
        yield run


def where_it_holds(found: CodeFinding, checked: Sequence[Checked]) -> str | None:
    """The releases of a finding in words, where the code was held against more than one; else None."""
    known = [version for each in checked if each.package == found.package for version in each.versions]
    return compact(found.releases, known) if len(known) > 1 and found.releases else None


def held_against(checked: Sequence[Checked]) -> str:
    """What the code was held against, in words: ``vllm 0.33.0, 12 releases of sglang (0.5.1 to 0.5.12)``."""
    words = []
    for each in checked:
        if len(each.versions) > 1:
            words.append(
                f"{len(each.versions)} releases of {each.distribution} ({each.versions[0]} to {each.versions[-1]})"
            )
        else:
            words.append(" ".join((each.distribution, *each.versions)) + (", installed" if each.installed else ""))
    return "; ".join(words) or "nothing"
