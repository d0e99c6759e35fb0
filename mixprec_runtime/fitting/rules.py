"""Rules: the fewest that give a choice its sources, in the words that mix files are written in."""

from __future__ import annotations

__all__ = ["shortest_rules"]

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mixprec_runtime.fitting.covering import Cover, fewest_covers
from mixprec_runtime.fitting.ground import Ground
from mixprec_runtime.fitting.mixtures import mix_of
from mixprec_runtime.fitting.patterns import module_pattern
from mixprec_runtime.planning.asides import settle_asides
from mixprec_runtime.planning.assign import Assignment, assign
from mixprec_runtime.planning.norms import follow
from mixprec_runtime.planning.targets import Targets
from mixprec_runtime.records.fit import ChoiceUnit, Problem
from mixprec_runtime.records.memory import layer_of
from mixprec_runtime.records.mix import BASE_SOURCE, Mark, Mix, Rule

MARK = Mark(file="", line=1, column=1)
DEFAULTS = 3  # that are tried
ANSWERS = 8  # lists of equally many rules that are put into words


def shortest_rules(problem: Problem, chosen: Mapping[str, str], mix: Mix) -> tuple[str, tuple[Rule, ...]]:
    """A default and rules with which every module has the source that the choice gives it.

    The rules of the mix come first, as they are. The others are as few as the search finds (where kinds and sources
    are few, certainly the fewest of those that name whole kinds and layers), and of those the ones with the fewest
    characters. All are held against the model's modules: none matches nothing, none decides nothing.
    """
    ground = Ground.of(mix)
    wanted = _settled(ground, mix_of(mix, problem.units, chosen))
    writer = _Writer(ground, wanted, {**dict.fromkeys((unit.name for unit in ground.units), BASE_SOURCE), **chosen})
    answers = [answer for default in _defaults(ground.units, chosen) for answer in writer.answers(default)]
    for default, rules in sorted(answers, key=lambda answer: _cost(answer, mix)):
        found = _settled(ground, replace(mix, default=default, rules=(*mix.rules, *rules)))
        if found == wanted:
            return default, (*mix.rules, *rules)
    exact = mix_of(mix, problem.units, chosen)
    return exact.default, exact.rules


def _defaults(units: Sequence[ChoiceUnit], chosen: Mapping[str, str]) -> list[str]:
    """The sources that are found in the most kinds of units, and of these in the most units."""
    found = [(unit.kind, chosen.get(unit.name, BASE_SOURCE)) for unit in units]
    kinds = Counter(source for _, source in dict.fromkeys(found))
    each = Counter(source for _, source in found)
    return sorted(kinds, key=lambda source: (-kinds[source], -each[source], source))[:DEFAULTS]


def _cost(answer: tuple[str, tuple[Rule, ...]], mix: Mix) -> tuple[int, int, bool]:
    """Rules, then characters; then the default that the mix had."""
    default, rules = answer
    targets = [target for rule in rules for target in rule.targets]
    letters = sum(map(len, targets)) + sum(len(rule.source) for rule in rules) + len(default)
    return len(targets), letters, default != mix.default


def _settled(ground: Ground, mix: Mix) -> dict[str, str]:
    """The source of each module of the base with a mix of the same checkpoints."""
    assigned, _ = assign(mix, ground.classes)
    opened = ground.sources.checkpoints
    settled, _ = follow(mix, opened, settle_asides(assigned, opened))
    return {module: each.source for module, each in settled.items()}


@dataclass(frozen=True, kw_only=True)
class _Stack:
    """The layers of one stack: the units in each cell of the table of kinds and layers."""

    name: str
    cells: Mapping[tuple[str, int], ChoiceUnit]


class _Writer:
    """Rules for one choice, with any default."""

    def __init__(self, ground: Ground, wanted: Mapping[str, str], chosen: Mapping[str, str]) -> None:
        self._ground = ground
        self._wanted = wanted
        self._chosen = chosen
        self._named = {module for module in ground.assigned if ground.is_named(module)}
        self._everything = tuple(ground.assigned)
        self._known: dict[tuple[str, ...], frozenset[str]] = {}
        self._places = {
            module: (stack, number, module.removeprefix(f"{stack}.{number}."))
            for module in self._everything
            for stack, number in [layer_of(module)]
            if stack is not None
        }
        stacks: dict[str, dict[tuple[str, int], ChoiceUnit]] = {}
        for unit in ground.units:
            stack, number = layer_of(unit.name)
            if stack is not None:
                stacks.setdefault(stack, {})[unit.kind, number] = unit
        self._stacks = [_Stack(name=name, cells=cells) for name, cells in stacks.items()]

    def answers(self, default: str) -> list[tuple[str, tuple[Rule, ...]]]:
        """Some lists of as few rules as were found with that default."""
        alone = self._alone(default)
        lists: list[tuple[tuple[_Stack, Cover], ...]] = [()]
        for stack in self._stacks:
            cells = {cell: self._chosen[unit.name] for cell, unit in stack.cells.items()}
            kinds = tuple(dict.fromkeys(kind for kind, _ in cells))
            covers = fewest_covers(cells, default=default, groups=_by_parent(kinds))[:ANSWERS]
            lists = [(*before, *((stack, each) for each in after)) for before in lists for after in covers]
        found = []
        for path in lists[:ANSWERS]:
            rules = self._written(path, decided=self._named.union(*map(self._meant, alone)))
            if rules is not None:
                found.append((default, self._deciding((*alone, *rules))))
        return found

    def _alone(self, default: str) -> tuple[Rule, ...]:
        """Rules for modules outside the layers, and for those beside the language that the default would move."""
        mix = self._ground.mix
        plain = _assigned(self._ground, replace(mix, default=default))
        units = {module: unit for unit in self._ground.units for module in unit.modules if unit.layer is not None}
        off: dict[str, list[str]] = {}
        for module, each in plain.items():
            source = self._wanted[module]
            linear = self._ground.classes[module] == "Linear" and module not in units
            if linear and each.source != source and module not in self._ground.routers:
                off.setdefault(source, []).append(module)
        return tuple(
            Rule(targets=targets, source=source, mark=MARK)
            for source, modules in off.items()
            for targets in self._targets(modules, source)
        )

    def _targets(self, modules: Sequence[str], source: str) -> list[tuple[str, ...]]:
        """One target for many modules below one name where it means no other; else their names."""
        parts = modules[0].split(".")
        for length in range(1, len(parts) if len(modules) > 1 else 1):
            prefix = ".".join(parts[:length]) + "."
            below = [each for each in self._everything if each.startswith(prefix)]
            if {*modules} <= {*below} and all(self._wanted[each] == source for each in below):
                return [(f"re:{re.escape(prefix)}.*",)]
        return [(module,) for module in modules]

    def _meant(self, rule: Rule) -> frozenset[str]:
        if rule.targets not in self._known:
            match, classes = Targets(rule.targets).match, self._ground.classes
            self._known[rule.targets] = frozenset(each for each in self._everything if match(each, classes[each]))
        return self._known[rule.targets]

    def _written(self, path: Sequence[tuple[_Stack, Cover]], *, decided: set[str]) -> tuple[Rule, ...] | None:
        rules = []
        for stack, cover in path:
            cells = ((kind, number) for kind in cover.rows for number in sorted(cover.columns))
            units = [unit for cell in cells if (unit := stack.cells.get(cell)) is not None]
            needed = [
                module
                for unit in units
                if self._chosen[unit.name] == cover.colour
                for module in unit.modules
                if module not in decided
            ]
            if not needed:
                continue
            harmless = [each for each in self._everything if each in decided or self._wanted[each] == cover.colour]
            target = module_pattern(self._places, needed=needed, harmless=harmless, everything=self._everything)
            if target is None:
                return None
            rules.append(Rule(targets=(target,), source=cover.colour, mark=MARK))
            decided |= self._meant(rules[-1])
        return tuple(rules)

    def _deciding(self, rules: Sequence[Rule]) -> tuple[Rule, ...]:
        """The rules that decide something."""
        decided = set(self._named)
        left = []
        for rule in rules:
            if meant := self._meant(rule) - decided:
                left.append(rule)
                decided |= meant
        return tuple(left)


def _assigned(ground: Ground, mix: Mix) -> dict[str, Assignment]:
    assigned, _ = assign(mix, ground.classes)
    return settle_asides(assigned, ground.sources.checkpoints)


def _by_parent(kinds: Sequence[str]) -> list[tuple[str, ...]]:
    parents = dict.fromkeys(kind.rpartition(".")[0] for kind in kinds)
    return [tuple(kind for kind in kinds if kind.rpartition(".")[0] == parent) for parent in parents]
