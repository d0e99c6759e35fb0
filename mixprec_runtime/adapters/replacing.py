"""Replacing the linear layers of a live model by layers that own the compressed weights of a plan."""

from __future__ import annotations

__all__ = ["NotReplaced", "replace_layers"]

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.adapters.bookkeeping import module_bytes
from mixprec_runtime.adapters.mixed_linear import MixedLinear
from mixprec_runtime.adapters.mixture import Mixture
from mixprec_runtime.adapters.surface import Surface
from mixprec_runtime.adapters.tree import Found, choose, find_layers, known_as, loading_model
from mixprec_runtime.adapters.wanted import Planable, config_for, run_of
from mixprec_runtime.planning.experts import expert_layer
from mixprec_runtime.records.replacements import Left, Replaced, Replacements

UNPLANNED = "the plan names no source for it"
NOT_ASKED = "it was not asked for"
OURS = "it owns the weights of this plan already"
THEIRS = "the engine made it from a mixture already"
ALONE = "it is the model itself, which nothing holds: MixedPrecisionLinear.from_plan makes one alone"


class NotReplaced(MixprecError):
    """A layer that could not be made; those before it were replaced, it and those behind it were not."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, layer: str, fault: str, replaced: tuple[str, ...]) -> None:
        super().__init__(layer, fault, replaced)
        self.layer = layer
        self.fault = fault
        self.replaced = replaced

    def __str__(self) -> str:
        return (
            f"wanted compressed parameters for {self.layer}, found: {self.fault}\n"
            f"  {len(self.replaced)} layers before it were replaced\n"
            "  try: portable=True, or another source for it in the mix file"
        )


@dataclass(frozen=True, kw_only=True)
class _Job:
    found: Found
    name: str


def replace_layers(
    model: torch.nn.Module,
    plan: Planable,
    surface: Surface,
    *,
    layers: Iterable[str] | str | None = None,
    initialize: bool = True,
    anew: bool = False,
    portable: bool = False,
    device: torch.device | str | None = None,
) -> Replacements:
    """Put a MixedPrecisionLinear into every place that holds a linear layer which the plan has in a quantized format.

    ``layers`` narrows it to some, ``initialize`` gives them empty parameters at once, ``anew`` does so to those that
    were replaced before, too. A layer's own memory is let go when its successor stands, one after the other. Raises
    UnknownLayers before anything is changed, SplitUnit, NotReplaced.
    """
    began = time.perf_counter()
    root = loading_model(model)
    wanted = run_of(plan)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.get_default_dtype())
    with surface.surroundings(wanted.base, dtype):
        config, reused = config_for(wanted, root, surface)
        jobs, left = _sorted_out(model, surface.linear, config, layers=layers, anew=anew)
        asked = torch.device(device) if device is not None else None
        spare = next((p.device for p in model.parameters() if not p.is_meta), None)
        replaced: list[Replaced] = []
        while jobs:
            job = jobs.pop(0)
            try:
                made = _replace(
                    job, surface, config, initialize=initialize, portable=portable, device=asked, spare=spare
                )
            except Exception as fault:
                words = f"{type(fault).__name__}: {fault}"
                raise NotReplaced(job.name, words, tuple(each.layer for each in replaced)) from fault
            replaced.append(made)
            del job  # and with it the layer that was there
    known = {member for each in replaced for member in each.members}
    known |= {member for each in left for member in config.planned_members(each.layer)}
    return Replacements(
        engine=surface.engine,
        replaced=tuple(replaced),
        left=tuple(left),
        missing=tuple(_missing(config, known, lambda name: surface.elsewhere(name, root))),
        seconds=round(time.perf_counter() - began, 3),
        config_reused=reused,
    )


def _sorted_out(
    model: torch.nn.Module, kind: type, config: Mixture, *, layers: Iterable[str] | str | None, anew: bool
) -> tuple[list[_Job], list[Left]]:
    found = find_layers(model, kind)
    if isinstance(model, kind):
        found.append(Found(paths=("",), layer=model, places=()))
    names = {each.path: known_as(each.paths, each.layer, config) for each in found}
    offered = {
        each.path: tuple(filter(None, (*each.paths, names[each.path], *config.planned_members(names[each.path] or ""))))
        for each in found
    }
    meant = choose(layers, offered)
    jobs, left = [], []
    for each in found:
        name = names[each.path]
        why = NOT_ASKED if each.path not in meant else _why_left(each, name, config, anew=anew)
        if why is None:
            jobs.append(_Job(found=each, name=str(name)))
        else:
            left.append(Left(layer=name or each.path, why=why))
    return jobs, left


def _why_left(found: Found, name: str | None, config: Mixture, *, anew: bool) -> str | None:
    """Why a layer is left as it is; None where it is to be replaced. Raises SplitUnit."""
    layer = found.layer
    if name is None:
        return UNPLANNED
    source = config.source_of(name)
    if not found.places:
        return ALONE
    if isinstance(layer, MixedLinear):
        return OURS if layer.mixed.config is config and not anew else None
    if isinstance(getattr(layer, "quant_config", None), Mixture):
        return THEIRS
    served = type(getattr(layer, "quant_method", None)).__name__
    if config.kind_of(name) is FormatKind.PLAIN and served.startswith("Unquantized"):
        return f"it comes in 16 bits from source {source}, and the engine's own layer holds them"
    return None


def _replace(
    job: _Job,
    surface: Surface,
    config: Mixture,
    *,
    initialize: bool,
    portable: bool,
    device: torch.device | None,
    spare: torch.device | None,
) -> Replaced:
    old = job.found.layer
    before = module_bytes(old, set())
    if isinstance(old, MixedLinear) and old.mixed.config is config:
        made = old
    else:
        own = next((p.device for p in old.parameters(recurse=False) if not p.is_meta), None)
        made = surface.mixed().taking_over(old, job.name, config, device=own or spare)
    if initialize:
        made.initialize(device=device, portable=portable)
    for put in job.found.places:
        put(made)
    told = made.memory()
    return Replaced(
        layer=job.name,
        members=told.members,
        source=told.source or "",
        format=told.format or "",
        method=told.method,
        bytes_before=before,
        bytes_now=told.held_bytes,
        places=len(job.found.places),
    )


def _missing(config: Mixture, known: set[str], elsewhere: Callable[[str], bool]) -> list[Left]:
    missing = []
    for engine_name, name in config.names.items():
        plain = config.formats[engine_name] == FormatKind.PLAIN.value
        if plain or name in known or elsewhere(f"{name}.weight"):
            continue
        experts = "they are experts, which are no linear layer: TrueMixedPrecisionLoader serves them"
        why = experts if expert_layer(name) else "no linear layer of this model goes by that name"
        missing.append(Left(layer=name, why=why))
    return missing
