"""One layer of a plan alone: made with an engine's class, filled strictly, repacked."""

from __future__ import annotations

__all__ = ["single_layer"]

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from mixprec_runtime.adapters.filling import fill
from mixprec_runtime.adapters.making import FUSED
from mixprec_runtime.adapters.mixed_linear import MixedLinear
from mixprec_runtime.adapters.mixture import Mixture, UnplannedLayer
from mixprec_runtime.adapters.wanted import Planable, config_for, run_of
from mixprec_runtime.checkpoint.folder import open_checkpoint
from mixprec_runtime.checkpoint.formats import ModuleWeights, read_module

UNITED = {name: list(parts) for parts, name in FUSED.items()}


class Alone(torch.nn.Module):
    """A model of one layer, whose loading finds the layer's parameters by the last part of a tensor's name."""

    packed_modules_mapping = UNITED

    def __init__(self) -> None:
        super().__init__()
        self.members: tuple[str, ...] = ()

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Each tensor through its parameter's own loader; one that has no parameter is left to the account."""
        (layer,) = self.children()
        parameters: dict[str, Any] = dict(layer.named_parameters(recurse=False))
        for name, tensor in weights:
            module, _, suffix = name.rpartition(".")
            if suffix in parameters:
                shard = (self.members.index(module),) if len(self.members) > 1 else ()
                parameters[suffix].weight_loader(parameters[suffix], tensor, *shard)


def single_layer(
    kind: type[MixedLinear],
    plan: Planable,
    name: str,
    *,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
    portable: bool,
) -> MixedLinear:
    """A layer of the plan, ready to be called. Raises UnplannedLayer, SplitUnit, StrictLoadingError."""
    surface = kind.surface
    wanted = run_of(plan)
    served = dtype or torch.get_default_dtype()
    model = Alone()
    with surface.surroundings(wanted.base, served):
        config, _ = config_for(wanted, model, surface)
        source = config.source_of(name)
        model.members = config.planned_members(name)
        if source is None:
            raise UnplannedLayer(name, config.members(name))
        shapes = _shapes(wanted.quantization, config, model.members)
        biased = any(tensor.name == f"{model.members[0]}.bias" for tensor in wanted.tensors)
        given = {"bias": biased, "params_dtype": served, "prefix": name}
        with torch.device("meta"):
            if len(shapes) > 1:
                layer = surface.united(shapes[0][1], [out for out, _ in shapes], **given)
            else:
                layer = surface.single(shapes[0][1], shapes[0][0], **given)
        where = torch.device(device) if device is not None else torch.get_default_device()
        made: MixedLinear = kind.taking_over(layer, name, config, device=where)
        made.initialize(portable=portable)
        model._modules["layer"] = made
    fill(model, wanted.folder, surface, layers=[name], tied=False)
    return made


def _shapes(quantization: Mapping[str, Any], config: Mixture, members: tuple[str, ...]) -> list[tuple[int, ...]]:
    shapes = []
    for member in members:
        checkpoint = open_checkpoint(Path(quantization["sources"][quantization["modules"][member]]["path"]))
        read = read_module(checkpoint.of_module(member), checkpoint.quantization, module=member)
        assert isinstance(read, ModuleWeights)  # noqa: S101  the plan was made of it
        shapes.append(read.shape)
    return shapes
