"""Filling a live model, or some of its layers, from the checkpoints of a plan: strictly, with an account."""

from __future__ import annotations

__all__ = ["HalfTold", "fill"]

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.adapters.bookkeeping import Bookkeeper, StrictLoadingError, memory_in_use, module_bytes
from mixprec_runtime.adapters.mixed_linear import MixedLinear
from mixprec_runtime.adapters.mixture import Mixture
from mixprec_runtime.adapters.surface import Surface
from mixprec_runtime.adapters.tree import choose, known_as, loading_model
from mixprec_runtime.adapters.wanted import Planable, Wanted, config_for, run_of
from mixprec_runtime.records.account import LayerMemory, LoadAccount, LoadFault
from mixprec_runtime.records.mix import BASE_SOURCE

NOT_ASKED = "it is of no layer that was asked for"
_filled: weakref.WeakKeyDictionary[torch.nn.Module, set[str]] = weakref.WeakKeyDictionary()
"""Planned modules that earlier calls filled, per model."""


class HalfTold(MixprecError):
    """Layers that were asked for without those that their source ties to them, such as a norm that it changed."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, tied: Mapping[str, str]) -> None:
        super().__init__(tied)
        self.tied = tied

    def __str__(self) -> str:
        named = "".join(f"\n  {module} from {source}" for module, source in self.tied.items())
        return (
            "wanted layers that fit each other, found that the plan takes these beside them from the same sources, and "
            f"that nothing has loaded them yet:{named}\n  try: name them among layers, or a pattern for the whole block"
        )


class _Progress:
    """Tells whoever wants to know how many bytes have arrived."""

    def __init__(self, total: int, tell: Callable[[int, int], None] | None) -> None:
        self._total, self._done, self._tell = total, 0, tell

    def add(self, count: int) -> None:
        self._done += count
        if self._tell is not None:
            self._tell(self._done, self._total)


def fill(
    model: torch.nn.Module,
    plan: Planable,
    surface: Surface,
    *,
    layers: Iterable[str] | str | None = None,
    progress: Callable[[int, int], None] | None = None,
    tied: bool = True,
) -> LoadAccount:
    """Fill every parameter of a model, or of the layers that are named, exactly once from its planned tensors.

    With ``tied`` those that are named must have with them what their sources tie to them. The model's own loading takes
    the tensors. Layers that own weights of the plan get new parameters where they have none, or repacked ones. Then the
    engine repacks what was filled. Raises UnknownLayers, HalfTold, StrictLoadingError.
    """
    root = loading_model(model)
    wanted = run_of(plan)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.get_default_dtype())
    with surface.surroundings(wanted.base, dtype), torch.no_grad():
        config, _ = config_for(wanted, root, surface)
        units = _units(root, config)
        meant = choose(layers, units)
        members = {member for path in meant for member in config.planned_members(units[path][1])}
        before = _filled.setdefault(root, set())
        if layers is not None and tied:
            _refuse_halves(wanted, members, before)
        modules = {path: root.get_submodule(path) for path in sorted(meant)}
        _refuse_plain(modules, config)
        for module in modules.values():
            if isinstance(module, MixedLinear) and (module.filled or not module.initialized):
                module.initialize()
        account = _strictly(
            root, wanted, surface, config, dtype=dtype, modules=modules if layers is not None else None,
            members=members, progress=progress,
        )  # fmt: skip
        before |= members
    return account


def _units(root: torch.nn.Module, config: Mixture) -> dict[str, tuple[str, ...]]:
    """The names of each of a model's modules that the plan fills: its path, the plan's one, and those of its parts."""
    units = {}
    for path, module in root.named_modules():
        if module._parameters or isinstance(module, MixedLinear):
            name = known_as([path], module, config)
            if name is not None:
                units[path] = (path, name, *config.planned_members(name))
    return units


def _refuse_halves(wanted: Wanted, members: set[str], before: set[str]) -> None:
    """Raises HalfTold for modules of a named layer's block and source that the base does not stand in for."""
    modules: Mapping[str, str] = wanted.quantization["modules"]
    flat = {tensor.name.rpartition(".")[0] for tensor in wanted.tensors}
    flat -= {tensor.name.rpartition(".")[0] for tensor in wanted.tensors if len(tensor.shape) > 1}
    touched = {(_block(name), modules[name]) for name in members if modules.get(name, BASE_SOURCE) != BASE_SOURCE}
    tied = {
        name: source
        for name, source in modules.items()
        if (_block(name), source) in touched and name in flat and name not in members and name not in before
    }
    if tied:
        raise HalfTold(tied)


def _refuse_plain(modules: Mapping[str, torch.nn.Module], config: Mixture) -> None:
    """Raises StrictLoadingError with every layer that holds 16 bits and for which the plan has other weights."""
    faults = []
    for path, module in modules.items():
        served = type(getattr(module, "quant_method", None)).__name__
        kind = config.kind_of(known_as([path], module, config) or path)
        if served.startswith("Unquantized") and kind is not FormatKind.PLAIN and not isinstance(module, MixedLinear):
            text = (
                f"holds 16 bits, and the plan has {kind.value} for it; replace_linear_with_mixed_precision comes first"
            )
            faults.append(LoadFault(name=path, text=text))
    if faults:
        raise StrictLoadingError(tuple(faults))


def _block(name: str) -> str:
    """The numbered block of a model that a module stands in."""
    parts = name.split(".")
    at = next((at for at, part in enumerate(parts) if part.isdecimal()), None)
    return ".".join(parts[: at + 1]) if at is not None else ""


def _strictly(
    root: Any,  # noqa: ANN401  an engine's model
    wanted: Wanted,
    surface: Surface,
    config: Mixture,
    *,
    dtype: torch.dtype,
    modules: Mapping[str, torch.nn.Module] | None,
    members: set[str],
    progress: Callable[[int, int], None] | None,
) -> LoadAccount:
    """``modules`` None: all of the model."""
    at_first = memory_in_use()
    place = surface.place()
    parameters = dict(root.named_parameters())
    planned, kept = wanted.tensors, dict(surface.kept(root))
    others: set[str] = set()
    if modules is not None:
        planned = tuple(tensor for tensor in planned if tensor.name.rpartition(".")[0] in members)
        own = {f"{path}.{name}" for path, module in modules.items() for name in module._parameters}
        others = parameters.keys() - own
        kept |= dict.fromkeys(others, NOT_ASKED)
    books = Bookkeeper(
        planned=planned,
        parameters=parameters,
        progress=_Progress(sum(tensor.bytes for tensor in planned), progress),
        elsewhere=lambda name: surface.elsewhere(name, root),
        kept=kept,
        whole=place.world == 1,
        left_out=wanted.left_out if modules is None else (),
    )
    try:
        with books.recorder, _told_of(root, config):
            root.load_weights(books.stream())
    except Exception as fault:
        books.interrupted(fault)
        raise StrictLoadingError(tuple(books.faults)) from fault
    books.close(dict(root.named_parameters()))
    written = sorted(name for name in others if books.recorder.regions.get(name))
    books.faults += [LoadFault(name=f"parameter {name}", text="was filled, but not asked for") for name in written]
    if books.faults:
        raise StrictLoadingError(tuple(books.faults))
    watched = dict(root.named_modules()) if modules is None else modules
    loaded = _bytes(watched)
    for path, module in watched.items():
        if isinstance(module, MixedLinear):
            module.mixed.loaded_bytes = loaded[path]
    device = next((p.device for p in parameters.values() if not p.is_meta), torch.device("cpu"))
    if modules is None:
        surface.finish(root, device, dtype)
    else:
        _repack(modules.values(), device)
    held = _bytes(watched)
    formats = {tensor.name.rpartition(".")[0]: tensor.format for tensor in planned}
    memory = tuple(
        _memory(path, module, config, formats, loaded=loaded[path], held=held[path])
        for path, module in watched.items()
        if loaded[path] or held[path]
    )
    account = books.account(
        rank=place.rank,
        world_size=place.world,
        layers=memory,
        held_bytes=sum(held.values()),
        grown_bytes=max(memory_in_use() - at_first, 0),
    )
    filled = {name: p for name, p in parameters.items() if name not in others}
    return replace(
        account,
        parameters=len(filled),
        parameter_bytes=sum(p.nbytes for p in filled.values()),
        kept={name: why for name, why in account.kept.items() if name in filled},
    )


@contextmanager
def _told_of(root: torch.nn.Module, config: Mixture) -> Iterator[None]:
    """While this is entered a model that was made without a config names this one: its loading asks for names by it."""
    modules = [module for module in root.modules() if "quant_config" in vars(module)]
    holders = [module for module in modules if module.quant_config is None and not hasattr(module, "quant_method")]
    for module in holders:
        module.quant_config = config
    try:
        yield
    finally:
        for module in holders:
            module.quant_config = None


def _bytes(modules: Mapping[str, torch.nn.Module]) -> dict[str, int]:
    seen: set[int] = set()
    return {path: module_bytes(module, seen) for path, module in modules.items()}


def _repack(modules: Iterable[torch.nn.Module], device: torch.device) -> None:
    for module in modules:
        repack = getattr(getattr(module, "quant_method", None), "process_weights_after_loading", None)
        if repack is not None:
            with device:
                repack(module)
        if hasattr(module, "update_param_tp_status"):
            module.update_param_tp_status()


def _memory(
    path: str, module: torch.nn.Module, config: Mixture, formats: Mapping[str, str], *, loaded: int, held: int
) -> LayerMemory:
    name = known_as([path], module, config) or ""
    members = config.planned_members(name)
    method = getattr(module, "quant_method", None)
    return LayerMemory(
        layer=path,
        source=" + ".join(config.sources_of(name)) or None,
        format=next((formats[member] for member in members if member in formats), None),
        method=config.parts.method_name(module) if method is not None else type(module).__name__,
        loaded_bytes=loaded,
        held_bytes=held,
        members=members,
    )
