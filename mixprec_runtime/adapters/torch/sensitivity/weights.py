"""Weights: modules of several checkpoints in float32, put into a model and taken out of it again."""

from __future__ import annotations

__all__ = ["Weights"]

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import Parameter

from mixprec_runtime.adapters.torch.names import Names, Stacked
from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.planning.cachescales import is_cache_scale
from mixprec_runtime.planning.modules import is_derived
from mixprec_runtime.records.mix import BASE_SOURCE
from mixprec_runtime.reference.weights import float32_modules


class Weights:
    """The base model's weights and those of its sources, by checkpoint names."""

    def __init__(self, model: Any, folders: Mapping[str, Path]) -> None:  # noqa: ANN401  transformers is untyped
        self.model = model
        self._names = Names(model)
        self._opened = {name: open_checkpoint(folder) for name, folder in folders.items()}
        base = self._opened[BASE_SOURCE]
        self.modules = tuple(
            module
            for module in base.modules
            if any(
                not is_derived(t.name, base.config) and not is_cache_scale(t.name)
                for t in base.of_module(module).values()
            )
        )

    def place(self, module: str) -> str:
        """The name of the model's parameter, or of one of them, that a module of the checkpoint fills."""
        base = self._opened[BASE_SOURCE]
        tensor = next(t for t in base.of_module(module).values() if not is_derived(t.name, base.config))
        found = self._names.tensor(tensor.name)
        return found.parameter if isinstance(found, Stacked) else found

    def read(self, source: str, modules: Iterable[str]) -> dict[str, torch.Tensor]:
        """Tensors of modules of a source, in float32, by the names of the unquantized checkpoint."""
        checkpoint = self._opened[source]
        base = self._opened[BASE_SOURCE]
        kept: dict[str, torch.Tensor] = {}
        for name, tensor in float32_modules(checkpoint, modules).items():
            module, _, suffix = name.rpartition(".")
            if is_derived(name, base.config) or (suffix == "bias" and "bias" not in base.of_module(module)):
                continue  # a tied head; zeros that AutoGPTQ writes
            kept[name] = tensor
        return kept

    def put(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Give tensors to the model: parameters become them; of a stack of experts the expert's part is written."""
        for name, tensor in tensors.items():
            place = self._names.tensor(name)
            if isinstance(place, Stacked):
                self._memory(place.parameter)[place.expert].chunk(place.parts)[place.part].copy_(tensor)
                continue
            owner, _, leaf = place.rpartition(".")
            module = self.model.get_submodule(owner)
            was = getattr(module, leaf)
            if was.shape != tensor.shape:
                raise ValueError(f"{name}: shape {list(tensor.shape)} does not fit {list(was.shape)}")
            is_parameter = isinstance(was, Parameter) and not isinstance(tensor, Parameter)
            setattr(module, leaf, Parameter(tensor, requires_grad=False) if is_parameter else tensor)

    def swap(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Put tensors in, and give those that were there, to be put back."""
        was: dict[str, torch.Tensor] = {}
        for name in tensors:
            place = self._names.tensor(name)
            if isinstance(place, Stacked):
                was[name] = self._memory(place.parameter)[place.expert].chunk(place.parts)[place.part].clone()
            else:
                owner, _, leaf = place.rpartition(".")
                was[name] = getattr(self.model.get_submodule(owner), leaf)
        self.put(tensors)
        return was

    def let_go(self, modules: Iterable[str]) -> None:
        """Take memory from the parameters of these modules."""
        for module in modules:
            held = self.model.get_submodule(self.place(module).rpartition(".")[0])
            for name, parameter in list(held.named_parameters(recurse=False)):
                setattr(held, name, Parameter(parameter.to("meta"), requires_grad=False))

    def bytes_of(self, modules: Iterable[str]) -> int:
        """Bytes of modules of the base in float32."""
        owners = {self.place(module).rpartition(".")[0] for module in modules}
        return sum(4 * p.numel() for owner in owners for p in self.model.get_submodule(owner).parameters(recurse=False))

    def _memory(self, parameter: str) -> torch.Tensor:
        owner, _, leaf = parameter.rpartition(".")
        module = self.model.get_submodule(owner)
        held: torch.Tensor = getattr(module, leaf)
        if held.is_meta:
            held = Parameter(torch.empty(held.shape, dtype=torch.float32), requires_grad=False)
            setattr(module, leaf, held)
        return held
