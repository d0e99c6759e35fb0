"""Constraints: choices that no engine could serve, alone or together, as plans and the sources' numbers tell."""

from __future__ import annotations

__all__ = ["OF_NORMS", "find_split_pairs", "norm_constraints", "refusals", "unserved_choices"]

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from mixprec_doctor.records.finding import Finding, Severity
from mixprec_runtime.fitting.ground import Ground
from mixprec_runtime.fitting.mixtures import mix_of
from mixprec_runtime.launching.errors import RefusedPlan
from mixprec_runtime.planning.folding import PAIRS
from mixprec_runtime.planning.neighbours import Norm
from mixprec_runtime.planning.norms import NormComparison
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.fit import Choice, ChoiceUnit, Forbidden, Problem
from mixprec_runtime.records.mix import BASE_SOURCE, Mix
from mixprec_runtime.records.plan import Plan, PlanFinding

OF_NORMS, FOLDED = "MP636", "MP637"
Sources = Mapping[str, Sequence[str]]  # that each unit can be taken from, by its name
Owner = Callable[[str], str | None]


def unserved_choices(
    mix: Mix, problem: Problem, chosen: Mapping[str, str], *, ranks: int = 1, stages: int = 1
) -> tuple[Forbidden, ...]:
    """What of a whole choice the plan refuses, as constraints to solve again with; none: it can be served.

    Raises RefusedPlan for faults that no other choice would mend.
    """
    ground = Ground.of(mix)
    plan = make_plan(
        mix_of(mix, problem.units, chosen),
        tensor_parallel_size=ranks,
        pipeline_parallel_size=stages,
        sources=ground.sources,
    )
    return refusals(plan, ground.owner, chosen)


def refusals(
    plan: Plan, owner: Owner, chosen: Mapping[str, str], *, beside: Iterable[str] = ()
) -> tuple[Forbidden, ...]:
    """The errors of a plan as choices that are not to be made together; those of the codes ``beside`` are left out.

    Raises RefusedPlan for errors that have nothing to do with a choice.
    """
    found: dict[tuple[Choice, ...], str] = {}
    hopeless: list[Finding] = []
    for finding in plan.findings:
        if finding.severity is not Severity.ERROR:
            continue
        groups = finding.modules if isinstance(finding, PlanFinding) else ((),)
        for group in groups:
            units = dict.fromkeys(unit for module in group if (unit := owner(module)) in chosen and unit is not None)
            choices = tuple((unit, chosen[unit]) for unit in units)
            if not choices:
                hopeless.append(finding)
            elif finding.code not in beside:
                found.setdefault(choices, _why(finding))
    if hopeless:
        raise RefusedPlan(tuple(dict.fromkeys(hopeless)))
    return tuple(Forbidden(choices=choices, why=why) for choices, why in found.items())


def _why(finding: Finding) -> str:
    """A finding's summary without the place in the file that it begins with."""
    head, colon, rest = finding.summary.partition(": ")
    words = rest if colon and head.rpartition(":")[2].isdecimal() else finding.summary
    return f"{finding.code}: {words}"


def norm_constraints(ground: Ground, offered: Sources, *, taken: Callable[[str, str], str]) -> Iterator[Forbidden]:
    """Choices that need other norms than what is named, or than each other; ``taken`` says where a module comes from.

    Numbers of norms are read, each once for two sources.
    """
    compared = NormComparison(ground.sources.checkpoints)
    for norm in ground.norms:
        if ground.is_meant(norm):
            continue
        needs, settled = _needs(ground, norm, offered, taken)
        for choice, wanted in needs.items():
            if _clash(norm, {*wanted, *settled}, compared):
                yield Forbidden(choices=(choice,), why=f"{OF_NORMS}: {norm.module} is another one beside it")
        for (first, ours), (second, theirs) in combinations(needs.items(), 2):
            if first[0] != second[0] and _clash(norm, {*ours, *theirs}, compared):
                yield Forbidden(choices=(first, second), why=f"{OF_NORMS}: they need two different {norm.module}")


def _needs(
    ground: Ground, norm: Norm, offered: Sources, taken: Callable[[str, str], str]
) -> tuple[dict[Choice, set[str]], set[str]]:
    """The sources whose norm each choice needs, and those that need it whatever is chosen."""
    needs: dict[Choice, set[str]] = {}
    settled = {ground.assigned[norm.module].source} if ground.is_named(norm.module) else set()
    for module in norm.partners:
        unit = ground.owner(module)
        if unit is None:
            settled.add(ground.assigned[module].source)
            continue
        for source in offered[unit]:
            needs.setdefault((unit, source), set()).add(taken(module, source))
    return needs, settled


def _clash(norm: Norm, sources: set[str], compared: NormComparison) -> bool:
    return any(compared.unlike(norm.module, one, other) for one, other in combinations(sorted(sources), 2))


def find_split_pairs(
    ground: Ground, units: Sequence[ChoiceUnit], offered: Sources, plan: Callable[[Mix], Plan]
) -> Iterator[Forbidden]:
    """Choices that would part two layers between which a source has scales (MP637).

    For each source that was smoothed a plan is made that parts all such pairs.
    """
    compared = NormComparison(ground.sources.checkpoints)
    partners = _pairs(ground)
    firsts = {first for first, _ in partners}
    for source in ground.mix.sources:
        if not any(compared.unlike(norm.module, BASE_SOURCE, source) for norm in ground.norms):
            continue
        parted = {
            unit.name: source if source in offered[unit.name] and firsts & {*unit.modules} else BASE_SOURCE
            for unit in units
        }
        folded = _folded(plan(mix_of(ground.mix, units, parted)), ground.owners)
        for first, second in partners:
            if first.rpartition(".")[2] in folded:
                yield from _parted(ground, (first, second), offered, source)


def _pairs(ground: Ground) -> list[tuple[str, str]]:
    """The pairs of layers that scales may stand between, both of them to be chosen."""
    return [
        (module, second)
        for module in ground.owners
        for leaf, following in PAIRS
        if module.endswith(f".{leaf}") and (second := module.removesuffix(leaf) + following) in ground.owners
    ]


def _folded(plan: Plan, owners: Mapping[str, str]) -> set[str]:
    """Last parts of the names of first layers that have scales between them and their second ones."""
    return {
        group[0].rpartition(".")[2]
        for finding in plan.findings
        if finding.code == FOLDED and finding.severity is Severity.ERROR and isinstance(finding, PlanFinding)
        for group in finding.modules
        if all(module in owners for module in group)
    }


def _parted(ground: Ground, pair: tuple[str, str], offered: Sources, source: str) -> Iterator[Forbidden]:
    first, second = (ground.owners[module] for module in pair)
    leaves = " and ".join(module.rpartition(".")[2] for module in pair)
    for one in offered[first]:
        for other in offered[second]:
            if one != other and source in (one, other):
                yield Forbidden(
                    choices=((first, one), (second, other)),
                    why=f"{FOLDED}: {leaves} of {source!r} have scales between them",
                )
