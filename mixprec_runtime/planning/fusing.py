"""Fusing: whether the parts of each fused unit make one parameter of an engine, whatever checkpoints they come from."""

from __future__ import annotations

__all__ = ["find_unfusable", "shared_units"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.checkpoint.stated import stated_format
from mixprec_runtime.checkpoint.values import read_bytes
from mixprec_runtime.planning.assign import Assignment
from mixprec_runtime.planning.disagreement import Taken
from mixprec_runtime.planning.experts import expert_layer
from mixprec_runtime.planning.units import Unit, units_of
from mixprec_runtime.records.mix import Mix
from mixprec_runtime.records.plan import LayerPlan, PlanFinding

ORDERS = ("g_idx", "weight_g_idx")


def find_unfusable(
    mix: Mix, units: Iterable[Unit], taken: Iterable[Taken], assigned: Mapping[str, Assignment]
) -> list[Finding]:
    """MP622 for units of several sources that are not of one scheme, MP623 for units of two formats in one source.

    Parts of one scheme (format, tensors and quantization method are the same, and so is the order of their inputs) may
    come from several checkpoints: the engine reads them as it reads those of one.
    """
    parts = {part.module: part for part in taken}
    split: dict[tuple[object, ...], list[_Refused]] = {}
    uneven: dict[str, dict[Unit, str]] = {}
    for unit in units:
        members = [parts[member] for member in unit.members if member in parts]
        sources = {assigned[member].source for member in unit.members}
        if len(sources) > 1:
            if (why := _refusal(unit, members)) is None:
                continue
            reasons = tuple(assigned[member].reason for member in unit.members)
            refused = _Refused(unit=unit, members=tuple(members), why=why)
            split.setdefault((unit.name.rpartition(".")[2], reasons, why), []).append(refused)
        elif members and len({_unsized(part) for part in members}) > 1:
            shown = members if not _is_experts(unit.name) else _one_of_each(members)
            names = ", ".join(f"{_short(part.module, unit)} {part.weights.format.name}" for part in shown)
            uneven.setdefault(members[0].source, {})[unit] = names
    return [
        *(_split(refused, assigned) for refused in split.values()),
        *(_uneven(mix, source, units) for source, units in uneven.items()),
    ]


def shared_units(layers: Iterable[LayerPlan]) -> dict[str, str]:
    """The modules of fused units that a valid plan takes from several sources, each with its unit's name."""
    sources = {layer.layer: layer.source for layer in layers}
    return {
        member: unit.name
        for unit in units_of(sources)
        if len({sources[member] for member in unit.members}) > 1
        for member in unit.members
    }


@dataclass(frozen=True, kw_only=True)
class _Refused:
    unit: Unit
    members: tuple[Taken, ...]
    why: str


def _is_experts(unit: str) -> bool:
    """Whether a unit is the experts of a layer, of which there may be hundreds."""
    return expert_layer(unit) == unit


def _one_of_each(members: Iterable[Taken]) -> list[Taken]:
    seen: dict[object, Taken] = {}
    for part in members:
        seen.setdefault(part.weights.format, part)
    return list(seen.values())


def _short(module: str, unit: Unit) -> str:
    return module.removeprefix(f"{unit.name}.") if _is_experts(unit.name) else _leaf(module)


def _leaf(module: str) -> str:
    return module.rpartition(".")[2]


def _unsized(part: Taken) -> object:
    """The format, with one group over all inputs written in one way."""
    form = part.weights.format
    return replace(form, group=None) if form.group == part.weights.shape[-1] else form


def _refusal(unit: Unit, members: list[Taken]) -> str | None:
    """Why a unit may not have several sources, "" where that need not be said; None where it may."""
    if len(members) < len(unit.members):
        return ""  # what is wrong with the missing part is reported on its own
    return "the experts of a layer have one source" if _is_experts(unit.name) else _different(members)


def _different(members: list[Taken]) -> str | None:
    """In what the parts are not of one scheme; None where they are."""
    first = members[0]
    plain = first.weights.format.kind is FormatKind.PLAIN
    for part in members[1:]:
        if _unsized(part) != _unsized(first):
            found = f"{_leaf(first.module)} is {_described(first)}, {_leaf(part.module)} is {_described(part)}"
            return f"they are not of one scheme, {found}"
        if plain:
            continue
        if _method(part) != _method(first):
            methods = f"the quantization method of one is {_method(first)!r}, of the other {_method(part)!r}"
            return f"they are not of one scheme, {methods}"
        lacking = (part.tensors.keys() ^ first.tensors.keys()) - {"bias"}
        if lacking:
            pair = f"{_leaf(first.module)} and {_leaf(part.module)}"
            return f"they are not of one scheme, only one of {pair} has {', '.join(sorted(lacking))}"
        if first.weights.format.act_order and _orders(part) != _orders(first):
            return "each part has its inputs in an order of its own (act-order), and the engine keeps one for all"
    if plain:
        return None
    config = first.quantization
    stated = [stated_format(config, part.module) for part in members]
    if any(type(each) is not type(stated[0]) for each in stated):
        return f"the config of source {first.source!r}, by which the engine reads the unit, leaves a part of it out"
    return None


def _described(part: Taken) -> str:
    form = part.weights.format
    return f"{form.name} ({form.details})" if form.details else form.name


def _method(part: Taken) -> str:
    return str((part.quantization or {}).get("quant_method", "")).lower()


def _orders(part: Taken) -> list[bytes]:
    return [read_bytes(part.tensors[suffix]) for suffix in ORDERS if suffix in part.tensors]


def _split(refused: list[_Refused], assigned: Mapping[str, Assignment]) -> Finding:
    first = refused[0].unit
    formats = {part.module: f": {_described(part)}" for part in refused[0].members}
    alike: dict[str, list[str]] = {}
    for module in first.members:
        alike.setdefault(f"{assigned[module].reason}{formats.get(module, '')}", []).append(module)
    if _is_experts(first.name):
        evidence = [f"{_counted(modules)}: {why}" for why, modules in alike.items()]
    else:
        evidence = [f"{module}: {why}" for why, modules in alike.items() for module in modules]
    evidence += [f"likewise {each.unit.name}" for each in refused[1:]]
    leaves = "|".join(_leaf(member) for member in first.members)
    parent = first.name.rpartition(".")[0]
    if len(refused) > 1:
        parent = ".*\\." + parent.rpartition(".")[2]
    targets = rf"{parent}.experts\..*" if _is_experts(first.name) else f"{parent}.({leaves})$"
    more = f", and so do those of {len(refused) - 1} units like it" if len(refused) > 1 else ""
    why = refused[0].why
    return PlanFinding(
        code="MP622",
        severity=Severity.ERROR,
        summary=f"the parts of {first.name} come from different sources{more}" + (f": {why}" if why else ""),
        cause="An engine keeps these modules in one fused parameter with one format; only parts of one scheme may come "
        "from different checkpoints.",
        evidence=tuple(evidence),
        remedy=Remedy(text=f"Let one rule name all of them, for example 're:{targets}', above the others."),
        modules=tuple(each.unit.members for each in refused),
    )


def _counted(modules: list[str]) -> str:
    return modules[0] if len(modules) == 1 else f"{modules[0]} and {len(modules) - 1} more"


def _uneven(mix: Mix, source: str, units: Mapping[Unit, str]) -> Finding:
    return PlanFinding(
        code="MP623",
        severity=Severity.ERROR,
        summary=f"{mix.source(source).mark}: parts of fused modules have different formats in source {source!r}"
        f" ({len(units)})",
        evidence=tuple(f"{unit.name}: {names}" for unit, names in units.items()),
        remedy=Remedy(text="Take these modules from a source that has them in one format."),
        modules=tuple(unit.members for unit in units),
    )
