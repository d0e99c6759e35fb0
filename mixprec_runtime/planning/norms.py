"""Norms follow the layers that they belong to, where the sources' norms are not the base's.

A mixture takes norms from the base. A checkpoint of a quantizer that smooths has other norms, made for its own linear
layers; beside the base's norm these would compute nonsense that no engine notices.
"""

from __future__ import annotations

__all__ = ["NormComparison", "follow", "rules_for_norms"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_runtime.checkpoint.values import differ
from mixprec_runtime.planning.assign import Assignment
from mixprec_runtime.planning.neighbours import Norm, norms_of
from mixprec_runtime.records.checkpoint import Checkpoint
from mixprec_runtime.records.mix import BASE_SOURCE, Mix, Rule
from mixprec_runtime.records.plan import PlanFinding

FOLLOWS = "the layers behind it"
"""What decides the source of a norm that goes with its layers."""


def follow(
    mix: Mix, opened: Mapping[str, Checkpoint], assigned: Mapping[str, Assignment]
) -> tuple[dict[str, Assignment], tuple[Finding, ...]]:
    """The assignments with each norm from where its layers need it, and findings where that cannot be.

    Only norms of sources from which a layer behind them is taken are read. A norm that a rule made for norms alone
    moves stays where the rule puts it, with a warning.
    """
    compared = NormComparison(opened)
    settled = dict(assigned)
    moved: dict[str, list[str]] = {}
    clashes: list[_Clash] = []
    norms = norms_of(assigned)
    meant = rules_for_norms(norms, assigned)
    for norm in norms:
        needed = {part: assigned[part].source for part in norm.partners if assigned[part].source in opened}
        here = assigned[norm.module]
        if here.source not in opened or not any(compared.unlike(norm.module, here.source, s) for s in needed.values()):
            continue
        fitting = _fitting(norm, needed, compared)
        if here.by == "base" and fitting is not None:
            settled[norm.module] = Assignment(source=fitting, by=FOLLOWS)
            moved.setdefault(fitting, []).append(norm.module)
        else:
            clashes.append(_Clash(norm=norm, fitting=fitting, meant=id(here.by) in meant))
    findings = [_moved(mix, source, followers) for source, followers in moved.items()]
    findings += [_clash(group, assigned, mix) for group in _alike(clashes, assigned)]
    return settled, tuple(findings)


class NormComparison:
    """Norms of the sources, compared with each other once."""

    def __init__(self, opened: Mapping[str, Checkpoint]) -> None:
        self._opened = opened
        self._known: dict[tuple[str, str, str], bool] = {}

    def unlike(self, norm: str, one: str, other: str) -> bool:
        """Whether two sources have other numbers there; a source without the norm was made for the base's."""
        one, other = sorted(source if self._opened[source].of_module(norm) else BASE_SOURCE for source in (one, other))
        if one == other:
            return False
        key = (norm, one, other)
        if key not in self._known:
            first, second = (self._opened[source].of_module(norm) for source in (one, other))
            self._known[key] = any(differ(first[suffix], second[suffix]) for suffix in first.keys() & second.keys())
        return self._known[key]


@dataclass(frozen=True, kw_only=True)
class _Clash:
    norm: Norm
    fitting: str | None  # the source whose norm would suit all
    meant: bool  # a rule for norms alone says so


def _fitting(norm: Norm, needed: Mapping[str, str], compared: NormComparison) -> str | None:
    sources = tuple(dict.fromkeys(needed.values()))
    suits = (each for each in sources if not any(compared.unlike(norm.module, each, other) for other in sources))
    return next(suits, None)


def rules_for_norms(norms: tuple[Norm, ...], assigned: Mapping[str, Assignment]) -> set[int]:
    """Rules (by identity) that decide for nothing but norms."""
    names = {norm.module for norm in norms}
    beyond = {id(each.by) for module, each in assigned.items() if module not in names}
    return {id(each.by) for each in assigned.values() if isinstance(each.by, Rule)} - beyond


def _moved(mix: Mix, source: str, norms: list[str]) -> Finding:
    return Finding(
        code="MP636",
        severity=Severity.INFO,
        summary=f"{mix.source(source).mark}: norms come from source {source!r} with the layers behind them"
        f" ({len(norms)})",
        cause="They differ from the base's: the source's weights were smoothed, or trained, together with them.",
        evidence=tuple(norms),
    )


def _alike(clashes: list[_Clash], assigned: Mapping[str, Assignment]) -> Iterator[list[_Clash]]:
    groups: dict[tuple[object, ...], list[_Clash]] = {}
    for clash in clashes:
        names = (clash.norm.module, *clash.norm.partners)
        reasons = tuple(assigned[name].reason for name in names)
        groups.setdefault((clash.norm.module.rpartition(".")[2], clash.meant, reasons), []).append(clash)
    yield from groups.values()


def _clash(clashes: list[_Clash], assigned: Mapping[str, Assignment], mix: Mix) -> Finding:
    first = clashes[0]
    norm = first.norm
    evidence = [f"{norm.module}: {assigned[norm.module].reason}"]
    evidence += [f"{part}: {assigned[part].reason}" for part in norm.partners]
    evidence += [f"likewise {each.norm.module}" for each in clashes[1:]]
    more = f", and {len(clashes) - 1} norms like it" if len(clashes) > 1 else ""
    if first.fitting is not None:
        summary = f"{norm.module}{more} comes from another source than the layers behind it need"
        cure = f"Let no rule and no entry of `ignore` name it; it then comes from source {first.fitting!r} with them."
    else:
        leaves = "|".join(dict.fromkeys(part.rpartition(".")[2] for part in norm.partners))
        parent = norm.partners[0].rpartition(".")[0].rpartition(".")[2]
        summary = f"the layers behind {norm.module}{more} come from sources that need different norms"
        cure = (
            f"Let one rule name all of them, for example 're:.*\\.{parent}\\.({leaves})$', above the others; or take "
            "a checkpoint that was quantized without smoothing."
        )
    return PlanFinding(
        code="MP636",
        severity=Severity.WARNING if first.meant else Severity.ERROR,
        summary=summary,
        cause="A source that was smoothed (AWQ, SmoothQuant) has its scales in the norm: with another norm its "
        "weights compute something else.",
        evidence=tuple(evidence),
        remedy=Remedy(text=cure),
        modules=tuple((each.norm.module, *each.norm.partners) for each in clashes),
    )
