"""The names of the original system, as vLLM's classes."""

from __future__ import annotations

__all__ = ["SURFACE", "MixedPrecisionLinear", "TrueMixedPrecisionConfig", "TrueMixedPrecisionLoader"]

import contextlib
from collections.abc import Iterator

import torch
import vllm.config
from vllm.config import ModelConfig, VllmConfig, set_current_vllm_config
from vllm.model_executor.layers import linear
from vllm.model_executor.layers.linear import LinearBase, MergedColumnParallelLinear, ReplicatedLinear
from vllm.model_executor.model_loader.utils import process_weights_after_loading
from vllm.plugins import load_general_plugins

from mixprec_runtime.adapters.mixed_linear import MixedLinear
from mixprec_runtime.adapters.surface import Surface
from mixprec_runtime.adapters.vllm.kept import may_be_kept
from mixprec_runtime.adapters.vllm.loader import MixprecModelLoader, held_elsewhere, place_here
from mixprec_runtime.adapters.vllm.quantization import MixprecConfig

TrueMixedPrecisionLoader = MixprecModelLoader
TrueMixedPrecisionConfig = MixprecConfig


def _rename(config: MixprecConfig, model: torch.nn.Module) -> None:
    """As the engine does when it makes a model of that class with a config."""
    mapper = getattr(model, "hf_to_vllm_mapper", None)
    if mapper is not None:
        config.apply_vllm_mapper(mapper.get_rename_mapper() if hasattr(mapper, "get_rename_mapper") else mapper)
    config.packed_modules_mapping = dict(getattr(model, "packed_modules_mapping", None) or {})


@contextlib.contextmanager
def _surroundings(base: str, dtype: torch.dtype) -> Iterator[None]:
    """The engine's current config; where it has none by now, as between two requests, one of the base model's."""
    if _current() is not None:
        yield
        return
    load_general_plugins()
    model = ModelConfig(model=base, tokenizer=base, skip_tokenizer_init=True, dtype=dtype)
    with set_current_vllm_config(VllmConfig(model_config=model)):
        yield


def _current() -> VllmConfig | None:
    ask = getattr(vllm.config, "get_current_vllm_config_or_none", None)
    if ask is not None:
        return ask()
    found = vllm.config.get_current_vllm_config()  # older releases give an empty one where none is set
    return found if found.model_config is not None else None


def _finish(model: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    process_weights_after_loading(model, vllm.config.get_current_vllm_config().model_config, device)


class MixedPrecisionLinear(MixedLinear, LinearBase):
    """A linear layer of vLLM that owns the compressed weights of one module, or fused unit, of a plan.

    It calls the method that the engine has for the weights' source, or a portable kernel where that one does not work.
    """


SURFACE = MixedPrecisionLinear.surface = Surface(
    engine="vllm",
    config=MixprecConfig,
    linear=LinearBase,
    single=ReplicatedLinear,
    united=MergedColumnParallelLinear,
    mixed=lambda: MixedPrecisionLinear,
    newer_loaders=linear.WEIGHT_LOADER_V2_SUPPORTED,
    rename=_rename,
    surroundings=_surroundings,
    place=place_here,
    elsewhere=held_elsewhere,
    kept=may_be_kept,
    finish=_finish,
)
