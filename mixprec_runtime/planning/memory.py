"""The memory report of a plan, beside each uniform checkpoint and, where an engine has loaded it, its accounts."""

from __future__ import annotations

__all__ = ["ForeignAccounts", "bf16_bytes", "memory_report"]

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.planning.experts import expert_layer
from mixprec_runtime.planning.uniform import Uniform
from mixprec_runtime.planning.units import units_of
from mixprec_runtime.records.account import LayerMemory, LoadAccount
from mixprec_runtime.records.memory import UNFILLED, MemoryReport, UniformMemory, UnitMemory, layer_of
from mixprec_runtime.records.plan import LayerPlan, Plan

Measured = dict[str, list[tuple[int, LayerMemory]]]  # unit: (rank, what the rank's engine holds of it)


class ForeignAccounts(MixprecError):
    """Accounts of a load that was not of this plan."""

    exit_code = ExitCode.MISUSE

    def __init__(self, mix: str, fault: str, remedy: str) -> None:
        super().__init__(mix, fault, remedy)
        self.mix = mix
        self.fault = fault
        self.remedy = remedy

    def __str__(self) -> str:
        return f"these accounts are not of {self.mix}: {self.fault}\n  try: {self.remedy}"


def memory_report(plan: Plan, *, uniform: Sequence[Uniform] = (), accounts: Sequence[LoadAccount] = ()) -> MemoryReport:
    """Every unit with its bytes. Raises ForeignAccounts for accounts of other ranks or other formats."""
    world = len(plan.totals.bytes_per_rank)
    _check_ranks(plan, accounts, world)
    united = _united(plan.layers)
    measured = _measured(united, accounts)
    _merge(united, measured)
    others = [(each.source, _sizes(each.layers.values())) for each in uniform]
    units = [
        _unit(name, modules, others, measured.get(name, []), world=world if accounts else None)
        for name, modules in united.items()
        if modules
    ]
    _check_formats(plan, measured, {unit.unit: unit for unit in units})
    units += [
        _unfilled(name, found, world)
        for name, found in measured.items()
        if name not in united
    ]  # fmt: skip
    return MemoryReport(
        mix=str(plan.mix_file),
        world=world,
        linear=_linear(plan, uniform),
        units=_in_order(units),
        uniform=tuple(_uniform(each, world) for each in uniform),
        grown=tuple(account.grown_bytes for account in accounts) if accounts else None,
    )


def bf16_bytes(layer: LayerPlan) -> int:
    """Bytes of the module with two for each parameter of its weight and bias; lone tensors count as they are."""
    suffixes = {tensor.name.rpartition(".")[2]: tensor for tensor in layer.tensors}
    if layer.format.kind is FormatKind.PLAIN and "weight" not in suffixes:
        return 2 * sum(prod(tensor.shape) for tensor in layer.tensors)
    bias = suffixes.get("bias")
    return 2 * (prod(layer.shape) + (prod(bias.shape) if bias else 0))


def _check_ranks(plan: Plan, accounts: Sequence[LoadAccount], world: int) -> None:
    ranks = [account.rank for account in accounts]
    if accounts and (ranks != list(range(world)) or any(account.world_size != world for account in accounts)):
        told = f"{len(ranks)} of {accounts[0].world_size} ranks told of their load; the plan has {world}"
        raise ForeignAccounts(str(plan.mix_file), told, f"--tensor-parallel-size {accounts[0].world_size}")


def _check_formats(plan: Plan, measured: Measured, units: Mapping[str, UnitMemory]) -> None:
    for name, found in measured.items():
        planned = units.get(name)
        for _, layer in found:
            if planned and layer.format and layer.format not in planned.format.split(" + "):
                told = f"{layer.layer} was loaded as {layer.format}, the plan has {planned.format}"
                raise ForeignAccounts(str(plan.mix_file), told, "name the mix file as it was when it was launched")


def _united(layers: Iterable[LayerPlan]) -> dict[str, list[LayerPlan]]:
    """Modules by the unit that engines hold them in: fused ones, the experts of a layer, else each alone."""
    known = tuple(layers)
    names = {member: unit.name for unit in units_of(layer.layer for layer in known) for member in unit.members}
    united: dict[str, list[LayerPlan]] = {}
    for layer in known:
        name = expert_layer(layer.layer) or names.get(layer.layer, layer.layer)
        united.setdefault(name, []).append(layer)
    return united


def _measured(united: Mapping[str, list[LayerPlan]], accounts: Sequence[LoadAccount]) -> Measured:
    unit_of = {layer.layer: name for name, modules in united.items() for layer in modules}
    found: Measured = {}
    for account in accounts:
        for layer in account.layers:
            named = next((unit_of[member] for member in layer.members if member in unit_of), None)
            named = named or expert_layer(layer.layer)  # what lies below the experts' layer in the engine
            unit = named if named is not None and named in united else layer.layer
            found.setdefault(unit, []).append((account.rank, layer))
    return found


def _merge(united: dict[str, list[LayerPlan]], measured: Measured) -> None:
    """Join units that the engine turned out to hold as one."""
    unit_of = {layer.layer: name for name, modules in united.items() for layer in modules}
    for name, found in list(measured.items()):
        for _, layer in found:
            for other in dict.fromkeys(unit_of[m] for m in layer.members if m in unit_of):
                if other == name or other not in united or name not in united:
                    continue
                united[name] += united.pop(other)
                measured[name] += measured.pop(other, [])


def _unit(
    name: str,
    modules: Sequence[LayerPlan],
    uniform: Sequence[tuple[str, Mapping[str, int]]],
    measured: Sequence[tuple[int, LayerMemory]],
    *,
    world: int | None,
) -> UnitMemory:
    methods = dict.fromkeys(layer.method for _, layer in measured)
    kernels = dict.fromkeys(module.kernel for module in modules if module.kernel)
    return UnitMemory(
        unit=name,
        modules=tuple(module.layer for module in modules),
        source=", ".join(dict.fromkeys(module.source for module in modules)),
        format=" + ".join(dict.fromkeys(module.format.name for module in modules)),
        method=", ".join(methods or kernels) or None,
        file_bytes=sum(module.nbytes for module in modules),
        bf16_bytes=sum(bf16_bytes(module) for module in modules),
        uniform={
            source: sum(sizes.get(part, 0) for part in _united(modules))  # several where the engine joined units
            for source, sizes in uniform
        },
        planned=tuple(sum(column) for column in zip(*(module.bytes_per_rank for module in modules), strict=True)),
        loaded=_per_rank(measured, world, lambda layer: layer.loaded_bytes),
        held=_per_rank(measured, world, lambda layer: layer.held_bytes),
    )


def _unfilled(name: str, measured: Sequence[tuple[int, LayerMemory]], world: int) -> UnitMemory:
    return UnitMemory(
        unit=name,
        modules=(),
        source=None,
        format=UNFILLED,
        method=measured[0][1].method,
        file_bytes=0,
        bf16_bytes=0,
        uniform={},
        planned=(0,) * world,
        loaded=_per_rank(measured, world, lambda layer: layer.loaded_bytes),
        held=_per_rank(measured, world, lambda layer: layer.held_bytes),
    )


def _per_rank(
    measured: Sequence[tuple[int, LayerMemory]], world: int | None, size: Callable[[LayerMemory], int]
) -> tuple[int, ...] | None:
    if world is None:
        return None
    return tuple(sum(size(layer) for at, layer in measured if at == rank) for rank in range(world))


def _sizes(layers: Iterable[LayerPlan]) -> dict[str, int]:
    """File bytes by unit: sources may hold the same experts stacked, or one by one."""
    return {name: sum(module.nbytes for module in modules) for name, modules in _united(layers).items()}


def _linear(plan: Plan, uniform: Sequence[Uniform]) -> tuple[str, ...]:
    """Formats of what a uniform model would take from its source."""
    linear = {expert_layer(module) or module for each in uniform for module in (*each.taken, *each.kept)}
    mixed = (layer for layer in plan.layers if (expert_layer(layer.layer) or layer.layer) in linear)
    return tuple(dict.fromkeys(layer.format.name for layer in mixed))


def _in_order(units: Sequence[UnitMemory]) -> tuple[UnitMemory, ...]:
    """Layers by their numbers, where files have them by their letters; all else where it stands."""
    first: dict[str, int] = {}

    def place(at: int) -> tuple[int, int]:
        stack, number = layer_of(units[at].unit)
        return (at, 0) if stack is None else (first.setdefault(stack, at), number)

    places = [place(at) for at in range(len(units))]
    return tuple(units[at] for at in sorted(range(len(units)), key=lambda at: places[at]))


def _uniform(uniform: Uniform, world: int) -> UniformMemory:
    layers = uniform.layers.values()
    by_format: dict[str, int] = {}
    for layer in layers:
        by_format[layer.format.name] = by_format.get(layer.format.name, 0) + layer.nbytes
    return UniformMemory(
        source=uniform.source,
        formats=tuple(dict.fromkeys(uniform.layers[module].format.name for module in uniform.taken)),
        by_format=by_format,
        bytes=sum(by_format.values()),
        bytes_per_rank=tuple(sum(layer.bytes_per_rank[rank] for layer in layers) for rank in range(world)),
        taken=len(uniform.taken),
        kept=len(uniform.kept),
    )
