"""Replacing: linear layers whose source is compressed become compressed layers, before anything has memory."""

from __future__ import annotations

__all__ = ["NoSuchLayer", "Replaced", "replace_layers"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import Parameter

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.adapters.handed import Layouts
from mixprec_runtime.adapters.torch.experts import ROLES, CompressedExperts
from mixprec_runtime.adapters.torch.linear import CompressedLinear, kernel_for
from mixprec_runtime.adapters.torch.names import Names, Stacked
from mixprec_runtime.records.plan import LeftOut
from mixprec_runtime.runfolder import RunTensor, read_left_out, read_run

CACHE_WHY = "the embedded engine keeps keys and values in the type of the activations"


class NoSuchLayer(MixprecError):
    """A compressed module of the plan for which transformers' model has no linear layer."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, module: str, wanted: str, found: str) -> None:
        super().__init__(module, wanted, found)
        self.module = module
        self.wanted = wanted
        self.found = found

    def __str__(self) -> str:
        return (
            f"{self.module} is compressed, and can only go into a linear layer {self.wanted} of the model, which has "
            f"{self.found}\n  try: a rule that takes {self.module} from the base model"
        )


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """A model's layers as planned, and where every planned tensor belongs."""

    planned: tuple[RunTensor, ...]
    left_out: tuple[LeftOut, ...]
    places: Mapping[str, str | Stacked]  # of a planned tensor by its checkpoint name
    layers: Mapping[str, CompressedLinear]  # by the model's name
    members: Mapping[str, tuple[str, ...]]  # planned modules of a layer of the model
    sources: Mapping[str, str]  # of a planned module
    first: str  # some parameter of the model


def replace_layers(
    model: Any,  # noqa: ANN401  transformers is untyped
    folder: Path,
    config: Mapping[str, Any],
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Replaced:
    """Put compressed layers in place. Raises NoSuchLayer, NoPortableKernel, RunFolderError, ChangedModule."""
    names = Names(model)
    cache_scales = frozenset(config.get("cache_scales", ()))
    run = read_run(folder)
    planned = tuple(tensor for tensor in run if _module(tensor.name) not in cache_scales)
    aside = tuple(
        LeftOut(name=tensor.name, source=tensor.source, why=CACHE_WHY)
        for tensor in run
        if _module(tensor.name) in cache_scales
    )
    left_out = (*read_left_out(folder), *aside)
    dropped = {tensor.name for tensor in left_out}
    by_module: dict[str, list[RunTensor]] = {}
    for tensor in planned:
        by_module.setdefault(_module(tensor.name), []).append(tensor)
    layouts = Layouts({name: source["path"] for name, source in config["sources"].items()})
    places: dict[str, str | Stacked] = {}
    layers: dict[str, CompressedLinear] = {}
    members: dict[str, tuple[str, ...]] = {}
    first = next(iter(dict(model.named_parameters())))
    for module, tensors in by_module.items():
        if config["formats"][module] == FormatKind.PLAIN.value:
            for tensor in tensors:
                places[tensor.name] = names.tensor(tensor.name)
            members[_plain_layer(places[tensors[0].name])] = (module,)
            continue
        place = names.module(module)
        form, all_stored = layouts.of(config["modules"][module], module)
        stored = {suffix: of for suffix, of in all_stored.items() if f"{module}.{suffix}" not in dropped}
        slot = _slot(model, module, place)
        kernel = kernel_for(module, form, inputs=slot.inputs, outputs=slot.outputs, dtype=dtype, device=device)
        layer = CompressedLinear(
            kernel, form, stored, inputs=slot.inputs, outputs=slot.outputs, bias=slot.bias
        )  # fmt: skip
        layers[slot.name] = layer
        model.set_submodule(slot.name, layer)
        members[slot.name] = (module,)
        places |= {tensor.name: f"{slot.name}.{tensor.name.rpartition('.')[2]}" for tensor in tensors}
    return Replaced(
        planned=planned, left_out=left_out, places=places, layers=layers, members=members,
        sources=dict(config["modules"]), first=first,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Slot:
    name: str
    inputs: int
    outputs: int
    bias: Parameter | None


def _slot(model: torch.nn.Module, module: str, place: str | Stacked) -> _Slot:
    """Where a compressed layer goes; a stack of experts is taken apart for the first of its matrices."""
    if isinstance(place, Stacked):
        parent, _, leaf = place.parameter.rpartition(".")
        experts = model.get_submodule(parent)
        if not isinstance(experts, CompressedExperts):
            experts = CompressedExperts(parent, experts)
            model.set_submodule(parent, experts)
        role = ROLES[leaf, place.part]
        inputs, outputs = experts.shape(role)
        return _Slot(name=f"{parent}.{role}.{place.expert}", inputs=inputs, outputs=outputs, bias=None)
    try:
        found = model.get_submodule(place)
    except AttributeError:
        raise NoSuchLayer(module, place, "none of that name") from None
    if not isinstance(found, torch.nn.Linear):
        raise NoSuchLayer(module, place, f"a {type(found).__name__} there")
    return _Slot(name=place, inputs=found.in_features, outputs=found.out_features, bias=found.bias)


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _plain_layer(place: str | Stacked) -> str:
    return _module(place.parameter if isinstance(place, Stacked) else place)
