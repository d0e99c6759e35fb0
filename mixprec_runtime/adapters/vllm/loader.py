"""The loader: vLLM's default loader, fed with just the planned tensors of every checkpoint, and strict."""

from __future__ import annotations

__all__ = ["MixprecModelLoader", "held_elsewhere", "place_here"]

import logging
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from vllm.config import ModelConfig, VllmConfig
from vllm.distributed import get_pp_group, get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size
from vllm.model_executor.model_loader.default_loader import DefaultModelLoader
from vllm.model_executor.models.utils import is_pp_missing_parameter

from mixprec_runtime.adapters.strict import Place, StrictLoad
from mixprec_runtime.adapters.vllm.kept import may_be_kept
from mixprec_runtime.adapters.vllm.methods import method_name

logger = logging.getLogger("vllm.mixprec")


class MixprecModelLoader(DefaultModelLoader):
    """Reads planned tensors only, and refuses a model that they do not fill exactly once."""

    def download_model(self, model_config: ModelConfig) -> None:
        """Nothing to fetch: the plan was made from folders that are here."""

    def get_all_weights(
        self, model_config: ModelConfig, model: nn.Module
    ) -> Generator[tuple[str, torch.Tensor], None, None]:
        """The planned tensors of all sources under their checkpoint names."""
        self.counter_before_loading_weights = time.perf_counter()  # the engine's log tells the seconds since
        yield from self._load.stream()

    def load_weights(self, model: nn.Module, model_config: ModelConfig) -> None:
        """Load as the engine does, with the account kept beside it. Raises StrictLoadingError."""
        engine_load = super().load_weights
        self._load = self.__dict__.get("_load") or _strict(model_config)
        self._load.run(
            model,
            lambda: engine_load(model, model_config),
            elsewhere=lambda name: held_elsewhere(name, model),
            kept=may_be_kept(model),
        )

    def load_model(self, vllm_config: VllmConfig, model_config: ModelConfig, **more: Any) -> nn.Module:  # noqa: ANN401
        """Load, let the engine repack, then write the account. Releases since 0.15 give a prefix too."""
        self._load = _strict(model_config)
        model = super().load_model(vllm_config=vllm_config, model_config=model_config, **more)
        self._load.finish(model, vllm_config.quant_config, named=method_name)
        return model


def _strict(model_config: ModelConfig) -> StrictLoad:
    return StrictLoad(Path(model_config.model), place=place_here(), logger=logger)


def place_here() -> Place:
    """Which rank this process is, over the stages of a pipeline."""
    tensor = get_tensor_model_parallel_world_size()
    return Place(
        rank=int(get_pp_group().rank_in_group * tensor + get_tensor_model_parallel_rank()),
        world=int(get_pp_group().world_size * tensor),
    )


def held_elsewhere(name: str, model: nn.Module) -> bool:
    """Whether another rank holds a tensor's layer, or none since its tower was not asked for, by the engine's names."""
    mapper: Any = getattr(model, "hf_to_vllm_mapper", None)
    names = [name, *(mapper.apply_list([name]) if mapper is not None else ())]
    return any(is_pp_missing_parameter(each, model) for each in names)
