"""Experts of the engine's model: the modules that they are planned as, and the method that serves them here."""

from __future__ import annotations

__all__ = ["experts_method", "is_experts", "source_config"]

import logging
from collections.abc import Callable
from typing import Any

import torch
from vllm.model_executor.layers import fused_moe
from vllm.model_executor.layers.fused_moe import FusedMoEMethodBase
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig, QuantizeMethodBase
from vllm.triton_utils import HAS_TRITON

from mixprec_runtime.adapters.experts import UnservableExperts
from mixprec_runtime.adapters.vllm.engineconfig import engine_config
from mixprec_runtime.adapters.vllm.portable_experts import ExpertLayout, PortableExpertsMethod

logger = logging.getLogger("vllm.mixprec")

NAMES = ("RoutedExperts", "FusedMoE")  # the layer that owns the weights, by the names that releases give it
CLASSES = tuple(found for name in NAMES if isinstance(found := getattr(fused_moe, name, None), type))


def is_experts(layer: torch.nn.Module) -> bool:
    """Whether a layer of the engine holds experts."""
    return isinstance(layer, CLASSES)


def experts_method(
    layer: Any,  # noqa: ANN401  the engine's layer
    prefix: str,
    *,
    ask: Callable[[], QuantizeMethodBase | None] | None,
    layout: Callable[[], ExpertLayout | None],
    refused: Callable[[str, str], None],
) -> QuantizeMethodBase:
    """The engine's method for quantized experts, by ``ask``; a portable one where it has none here.

    Without ``ask`` experts are plain, and the engine's default serves them. ``refused`` is told what was asked in vain
    and why. Raises UnservableExperts.
    """
    if ask is None:
        return plain_method(layer)
    fault, needs = "the engine has no method for them", ""
    try:
        method = ask()
        if isinstance(method, FusedMoEMethodBase) and not (needs := _missing(method)):
            return method
        fault = needs or fault
    except Exception as raised:  # noqa: BLE001  whatever an engine raises: it cannot serve these experts
        fault = f"{type(raised).__name__}: {' '.join(str(raised).split())}"
    refused("the engine's method for experts", fault)
    found = layout()
    if found is None:
        raise UnservableExperts(prefix, (fault, "portable experts: experts in one stack are not known here"))
    logger.warning("mixprec: %s: %s; portable kernels take their place", prefix, fault)
    return PortableExpertsMethod(layer.moe_config, found)


def source_config(folder: str, *, only_experts: bool) -> QuantizationConfig | None:
    """The engine's config of a source; None where it refuses one that serves experts alone: portable kernels can."""
    try:
        return engine_config(folder)
    except Exception as fault:  # whatever an engine raises
        if not only_experts:
            raise
        logger.warning("mixprec: the engine refuses the config of %s: %s", folder, " ".join(str(fault).split()))
        return None


def _missing(method: QuantizeMethodBase) -> str:
    """What a method that can be made all the same lacks here to run; empty where nothing is known."""
    if type(method).__module__.endswith(".moe_wna16") and not HAS_TRITON:
        return f"{type(method).__name__} is written in Triton, which is not here"
    kernels = {name: value for name, value in vars(method).items() if name.endswith("backend")}
    if any(getattr(value, "name", None) == "NONE" for value in kernels.values()):
        return f"{type(method).__name__} finds no kernel here"
    return ""


def plain_method(layer: Any) -> QuantizeMethodBase:  # noqa: ANN401  the engine's layer
    """The engine's own method for experts that are not quantized."""
    found = getattr(fused_moe, "UnquantizedFusedMoEMethod", None)
    if found is None:  # before 0.11 it stands beside the layer
        from vllm.model_executor.layers.fused_moe import layer as beside

        found = beside.UnquantizedFusedMoEMethod
    made: QuantizeMethodBase = found(layer.moe_config)
    return made
