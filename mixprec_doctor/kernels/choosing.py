"""Choosing: the verdict on every kernel that could serve a layer, from what was read of an engine and a machine."""

from __future__ import annotations

__all__ = ["PLACEHOLDER", "choose", "choose_all", "choose_layers"]

import json
from dataclasses import replace
from pathlib import Path

from mixprec_doctor.files import LARGEST_SOURCE, read_file
from mixprec_doctor.kernels.checkpoints import Origin, origins
from mixprec_doctor.kernels.engine import EngineKernels, open_kernels
from mixprec_doctor.kernels.lives import Life
from mixprec_doctor.kernels.lookup import refusal
from mixprec_doctor.kernels.native import Route, native_verdicts
from mixprec_doctor.kernels.platforms import set_layer
from mixprec_doctor.kernels.portable import PORTABLE, refusals
from mixprec_doctor.records.environment import Environment, InstalledEngine
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Tier, Verdict
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.workload import LinearShape, Workload
from mixprec_doctor.resolving.layout import LAYOUTS

PLACEHOLDER = "placeholder"


def choose(
    format: Format,
    shape: LinearShape,
    dtype: str,
    machine: Machine,
    engine_kernels: EngineKernels,
    *,
    method: str | None = None,
) -> KernelChoice:
    """Every candidate for a layer, best first: the engine's own in its order, mixprec's, and the placeholder.

    ``dtype`` is torch's name for the type of activations, ``method`` what the checkpoint's config calls its
    quantization, where formats of two look alike. The same arguments always give the same choice.
    """
    key = (format, shape, dtype, engine_kernels.device(machine), method)
    if key not in engine_kernels.chosen:
        engine_kernels.chosen[key] = _chosen(format, shape, dtype, machine, engine_kernels, method)
    return engine_kernels.chosen[key]


def _chosen(
    format: Format, shape: LinearShape, dtype: str, machine: Machine, engine_kernels: EngineKernels, method: str | None
) -> KernelChoice:
    ev = engine_kernels.evaluator(machine)
    set_layer(ev, shape, dtype)
    native: dict[tuple[str, str | None], Verdict] = {}
    routes = [_route(engine_kernels, machine, each, format, shape, dtype) for each in origins(format, method=method)]
    configs = [route.life.config for route in routes]
    for index, route in enumerate(routes):
        own = configs[index]
        if own is not None and own in configs[:index]:
            continue  # one class reads both kinds of checkpoint
        for verdict in native_verdicts(replace(route, takes_over=own is not configs[-1])):
            native.setdefault((verdict.candidate, verdict.module), verdict)
    engine_kernels.save()
    verdicts = [*native.values(), *_portable(format, shape, dtype, machine, engine_kernels), _placeholder()]
    choice = KernelChoice(
        engine=engine_kernels.engine, format=format, shape=shape, dtype=dtype, verdicts=tuple(verdicts)
    )
    marked = (replace(each, foreseen=each is choice.winner) for each in choice.verdicts)
    return replace(choice, verdicts=tuple(marked))


def choose_all(
    workload: Workload, environment: Environment, *, engine: InstalledEngine, machine: Machine
) -> tuple[KernelChoice, ...]:
    """A choice for each kind of layer of a workload; empty for an engine that has no kernels of its own to read."""
    known = any(layout.engine == engine.engine for layout in LAYOUTS)
    kernels = open_kernels(environment, engine.engine) if known else None
    if kernels is None:
        return ()
    return choose_layers(workload, kernels, machine=machine)


def choose_layers(workload: Workload, kernels: EngineKernels, *, machine: Machine) -> tuple[KernelChoice, ...]:
    """A choice for each kind of layer of a workload, from the kernels of an engine, installed or a release's."""
    return tuple(
        choose(layer.format, layer.shape, workload.dtype, machine, kernels, method=_method(layer.folder)).for_layers(
            layer
        )
        for layer in workload.layers
    )


def _method(folder: str) -> str | None:
    """What a checkpoint's config calls its quantization; None where it has no config, or does not say."""
    try:
        config = json.loads(read_file(Path(folder) / "config.json", most=LARGEST_SOURCE) or b"{}")
        found = (config.get("quantization_config") or {}).get("quant_method")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _route(
    kernels: EngineKernels, machine: Machine, origin: Origin, format: Format, shape: LinearShape, dtype: str
) -> Route:
    ev = kernels.evaluator(machine)
    method = origin.config.method if origin.config is not None else None
    life = Life(ev, kernels.role, origin=origin, format=format, shape=shape, dtype=dtype)
    return Route(
        ev=ev,
        life=life,
        origin=origin,
        dtype=dtype,
        device=kernels.device(machine),
        refused=refusal(ev, kernels.role, method) if method else None,
        missing=lambda operator, count: kernels.missing(machine, operator, count),
    )


def _portable(
    format: Format, shape: LinearShape, dtype: str, machine: Machine, kernels: EngineKernels
) -> list[Verdict]:
    if format.kind is FormatKind.PLAIN:
        return []
    device = kernels.device(machine)
    operators = kernels.torch_operators()
    found = []
    for kernel in PORTABLE:
        reasons = refusals(
            kernel,
            format,
            shape,
            dtype=dtype,
            device=device.kind or "cpu",
            capability=device.number,
            operators=operators,
        )
        found.append(Verdict(candidate=kernel.name, tier=Tier.PORTABLE, accepted=not reasons, reasons=reasons))
    return found


def _placeholder() -> Verdict:
    return Verdict(candidate=PLACEHOLDER, tier=Tier.PLACEHOLDER, accepted=False, reasons=("raises when it is used",))
