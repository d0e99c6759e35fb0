"""The names of the original system, as SGLang's classes."""

from __future__ import annotations

__all__ = ["SURFACE", "MixedPrecisionLinear", "TrueMixedPrecisionConfig", "TrueMixedPrecisionLoader"]

import contextlib
from collections.abc import Iterator

import sglang.srt.layers.quantization  # noqa: F401  before the layers: earlier releases import in a circle
import torch
from sglang.srt.layers import linear
from sglang.srt.layers.linear import LinearBase, MergedColumnParallelLinear, ReplicatedLinear

from mixprec_runtime.adapters.mixed_linear import MixedLinear
from mixprec_runtime.adapters.sglang.kept import may_be_kept
from mixprec_runtime.adapters.sglang.loader import MixprecModelLoader, held_elsewhere, place_here
from mixprec_runtime.adapters.sglang.quantization import MixprecConfig
from mixprec_runtime.adapters.surface import Surface

TrueMixedPrecisionLoader = MixprecModelLoader
TrueMixedPrecisionConfig = MixprecConfig


def _rename(config: MixprecConfig, model: torch.nn.Module) -> None:
    """As the engine does when it makes a model of that class with a config."""
    config.update_packed_modules_mapping(getattr(model, "packed_modules_mapping", None) or {})
    mapper = getattr(model, "hf_to_sglang_mapper", None)
    if mapper is not None:
        config.apply_weight_name_mapper(mapper)


@contextlib.contextmanager
def _surroundings(base: str, dtype: torch.dtype) -> Iterator[None]:
    """None to be made: what layers ask for is set for the whole process when the engine's server begins."""
    yield


def _finish(model: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Repack every layer that has a method, as the engine's loader does."""
    for module in model.modules():
        repack = getattr(getattr(module, "quant_method", None), "process_weights_after_loading", None)
        if repack is not None:
            with device:
                repack(module)


class MixedPrecisionLinear(MixedLinear, LinearBase):
    """A linear layer of SGLang that owns the compressed weights of one module, or fused unit, of a plan.

    It calls the method that the engine has for the weights' source, or a portable kernel where that one does not work.
    """


SURFACE = MixedPrecisionLinear.surface = Surface(
    engine="sglang",
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
