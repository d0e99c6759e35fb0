"""Mixtures: a choice of sources as the mix whose plan tells what it comes to."""

from __future__ import annotations

__all__ = ["mix_of"]

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mixprec_runtime.records.fit import ChoiceUnit
from mixprec_runtime.records.mix import BASE_SOURCE, Mix, Rule


def mix_of(mix: Mix, units: Iterable[ChoiceUnit], chosen: Mapping[str, str]) -> Mix:
    """The mix with that source for each unit; what its own rules and ``ignore`` name stays, all else is the base's."""
    modules: dict[str, list[str]] = {}
    for unit in units:
        if chosen[unit.name] != BASE_SOURCE:
            modules.setdefault(chosen[unit.name], []).extend(unit.modules)
    rules = tuple(
        Rule(targets=tuple(names), source=source, mark=mix.source(source).mark) for source, names in modules.items()
    )
    return replace(mix, rules=(*mix.rules, *rules), default=BASE_SOURCE, default_mark=None)
