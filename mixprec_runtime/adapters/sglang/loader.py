"""The loader: SGLang's default loader, fed with just the planned tensors of every checkpoint, and strict."""

from __future__ import annotations

__all__ = ["MixprecModelLoader", "held_elsewhere", "place_here"]

import copy
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from sglang.srt.configs.device_config import DeviceConfig
from sglang.srt.configs.load_config import LoadConfig, LoadFormat
from sglang.srt.configs.model_config import ModelConfig
from sglang.srt.distributed.parallel_state import (
    get_pp_group,
    get_tensor_model_parallel_rank,
    get_tensor_model_parallel_world_size,
)
from sglang.srt.model_loader.loader import DefaultModelLoader
from torch import nn

from mixprec_runtime.adapters.mixture import Mixture
from mixprec_runtime.adapters.sglang.kept import may_be_kept
from mixprec_runtime.adapters.sglang.methods import method_name
from mixprec_runtime.adapters.sglang.registry import register_config
from mixprec_runtime.adapters.strict import Place, StrictLoad
from mixprec_runtime.method import METHOD

logger = logging.getLogger("sglang.mixprec")
register_config()  # a process that gets this class in its server's arguments holds a mixture from here on


class MixprecModelLoader(DefaultModelLoader):
    """Reads planned tensors only, and refuses a model that they do not fill exactly once.

    Handed in as the load format of a server, it loads every model of it; one that is no mixture (a draft model) is
    loaded as ever.
    """

    def __init__(self, load_config: LoadConfig) -> None:
        if not isinstance(load_config.load_format, LoadFormat):
            load_config = copy.copy(load_config)
            load_config.load_format = LoadFormat.AUTO
        super().__init__(load_config)
        self._load: StrictLoad | None = None

    def download_model(self, model_config: ModelConfig) -> None:
        """Nothing to fetch for a mixture: the plan was made from folders that are here."""
        if model_config.quantization != METHOD:
            super().download_model(model_config)

    def _get_all_weights(
        self, model_config: ModelConfig, model: nn.Module
    ) -> Generator[tuple[str, torch.Tensor], None, None]:
        """The planned tensors of all sources under their checkpoint names."""
        if self._load is None:
            yield from super()._get_all_weights(model_config, model)
        else:
            yield from self._load.stream()

    def load_weights_and_postprocess(self, model: nn.Module, weights: Any, target_device: torch.device) -> None:  # noqa: ANN401
        """Load as the engine does, with the account kept beside it. Raises StrictLoadingError."""
        load = self._load
        if load is None:
            super().load_weights_and_postprocess(model, weights, target_device)
            return
        engine_load = model.load_weights

        def strictly(weights: Any) -> object:  # noqa: ANN401
            return load.run(
                model,
                lambda: engine_load(weights),
                elsewhere=lambda name: held_elsewhere(name, model),
                kept=may_be_kept(model),
            )

        with _loading_by(model, strictly):
            super().load_weights_and_postprocess(model, weights, target_device)

    def load_model(self, *, model_config: ModelConfig, device_config: DeviceConfig) -> nn.Module:
        """Load, let the engine repack, then write the account."""
        if model_config.quantization != METHOD:
            self._load = None
            return super().load_model(model_config=model_config, device_config=device_config)
        self._load = StrictLoad(Path(model_config.model_path), place=place_here(), logger=logger)
        model = super().load_model(model_config=model_config, device_config=device_config)
        self._load.finish(model, _mixture_of(model), named=method_name)
        return model


@contextmanager
def _loading_by(model: nn.Module, load: Callable[[Any], object]) -> Iterator[None]:
    """While this is entered the model loads its weights through ``load``; the engine calls it by the model's name."""
    model.load_weights = load
    try:
        yield
    finally:
        del model.load_weights


def _mixture_of(model: nn.Module) -> Mixture | None:
    configs = (getattr(module, "quant_config", None) for module in model.modules())
    return next((config for config in configs if isinstance(config, Mixture)), None)


def place_here() -> Place:
    """Which rank this process is, over the stages of a pipeline."""
    tensor = get_tensor_model_parallel_world_size()
    return Place(
        rank=int(get_pp_group().rank_in_group * tensor + get_tensor_model_parallel_rank()),
        world=int(get_pp_group().world_size * tensor),
    )


def held_elsewhere(name: str, model: nn.Module) -> bool:
    """Whether another rank holds a tensor's layer: models put an empty layer in its place."""
    away = (path for path, module in model.named_modules() if type(module).__name__ == "PPMissingLayer")
    return any(name.startswith(f"{path}.") for path in away)
