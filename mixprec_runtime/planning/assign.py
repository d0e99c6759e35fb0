"""Which source each module comes from: ``ignore`` first, then the first rule that matches, then the default."""

from __future__ import annotations

__all__ = ["Assignment", "assign"]

from collections.abc import Mapping
from dataclasses import dataclass

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_runtime.planning.modules import CLASSES
from mixprec_runtime.planning.targets import Targets, matches
from mixprec_runtime.planning.units import FUSED
from mixprec_runtime.records.mix import BASE_SOURCE, Mix, Rule

SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A module's source and what decided it: a rule, or the words ``ignore``, ``default`` or ``base``."""

    source: str
    by: Rule | str

    @property
    def reason(self) -> str:
        """What decided, with its place where it has one."""
        if isinstance(self.by, Rule):
            return f"the rule at {self.by.mark} (source {self.source})"
        return f"{self.by} (source {self.source})"


def assign(mix: Mix, classes: Mapping[str, str | None]) -> tuple[dict[str, Assignment], tuple[Finding, ...]]:
    """Sources of all modules, and findings about rules that match nothing or never decide."""
    matched: dict[int, int] = dict.fromkeys(range(len(mix.rules)), 0)
    decided = dict(matched)
    assigned: dict[str, Assignment] = {}
    targets = [Targets(rule.targets) for rule in mix.rules]
    ignored = Targets(mix.ignore)
    for module, kind in classes.items():
        hits = [position for position, each in enumerate(targets) if each.match(module, kind)]
        for position in hits:
            matched[position] += 1
        if ignored.match(module, kind):
            assigned[module] = Assignment(source=BASE_SOURCE, by="ignore")
        elif hits:
            decided[hits[0]] += 1
            rule = mix.rules[hits[0]]
            assigned[module] = Assignment(source=rule.source, by=rule)
        elif kind == "Linear":
            assigned[module] = Assignment(source=mix.default, by="default")
        else:
            assigned[module] = Assignment(source=BASE_SOURCE, by="base")
    findings = [_idle(rule, matched[at]) for at, rule in enumerate(mix.rules) if not decided[at]]
    findings += [_unmatched_target(rule, target) for rule, target in _idle_targets(mix, classes, matched)]
    return assigned, tuple(findings)


def _idle_targets(mix: Mix, classes: Mapping[str, str | None], matched: Mapping[int, int]) -> list[tuple[Rule, str]]:
    names = {*classes, *classes.values()}
    return [
        (rule, target)
        for at, rule in enumerate(mix.rules)
        if matched[at] and len(rule.targets) > 1
        for target in rule.targets
        if target not in names and not any(matches(target, module, kind) for module, kind in classes.items())
    ]


def _idle(rule: Rule, matched: int) -> Finding:
    if matched:
        return Finding(
            code="MP621",
            severity=Severity.WARNING,
            summary=(f"{rule.mark}: this rule decides nothing; earlier rules or ignore take all {matched} matches"),
            cause="The first rule that matches a module wins.",
            evidence=rule.targets,
            remedy=Remedy(text="Move the rule up, or take it out."),
        )
    return _unmatched(rule, rule.targets, f"{rule.mark}: this rule matches no module of the model")


def _unmatched_target(rule: Rule, target: str) -> Finding:
    return _unmatched(rule, (target,), f"{rule.mark}: target {target!r} matches no module of the model")


def _unmatched(rule: Rule, targets: tuple[str, ...], summary: str) -> Finding:
    fused = sorted({f"{name} is {', '.join(parts)}" for name, parts in FUSED for t in targets if name in t})
    hint = f"Checkpoint names are wanted, not an engine's: {'; '.join(fused)}." if fused else (
        "Compare the target with the names that `mixprec plan` lists; a regular expression matches from the "
        "start of the name."
    )  # fmt: skip
    if any(target.isidentifier() and target[0].isupper() for target in targets):
        hint = f"The classes of modules are {', '.join(CLASSES)}, as compressed-tensors names them. {hint}"
    return Finding(
        code="MP620",
        severity=Severity.ERROR,
        summary=summary,
        cause=("A rule without effect is a mistake more often than not, and would serve another mixture silently."),
        evidence=targets,
        remedy=Remedy(text=hint),
    )
