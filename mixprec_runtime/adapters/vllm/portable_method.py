"""vLLM linear methods of our own: for layers that no kernel of the engine serves, or none at all.

Their parameters are a checkpoint's tensors, held in the engine's own parameter classes with the engine's own loaders.
No quantization method of the engine is asked: some refuse a format when they are made.
"""

from __future__ import annotations

__all__ = ["PlaceholderLinearMethod", "PortableLinearMethod", "refusals_here"]

from collections.abc import Iterator

import torch
from vllm.model_executor import parameter
from vllm.model_executor.layers import linear
from vllm.model_executor.layers.linear import LinearMethodBase
from vllm.model_executor.layers.quantization.base_config import QuantizationConfig
from vllm.platforms import current_platform

from mixprec_doctor.records.format import Format
from mixprec_runtime.adapters.making import Shaped, portable_refusals
from mixprec_runtime.adapters.portable_method import ParameterKinds, PortableMethod, Stored
from mixprec_runtime.kernels.placeholder import Placeholder


class PortableLinearMethod(PortableMethod, LinearMethodBase):
    """Weights as a checkpoint holds them, applied by one of mixprec's portable kernels."""

    kinds = ParameterKinds.of(parameter)
    hands_order = not hasattr(QuantizationConfig, "get_checkpoint_weight_mapper")  # with one it drops them on the way


class PlaceholderLinearMethod(PortableLinearMethod):
    """Loads like the others; raises PlaceholderUsed when the layer is first used."""

    def __init__(self, placeholder: Placeholder, form: Format, stored: Stored) -> None:
        super().__init__("placeholder", form, stored)
        self.placeholder = placeholder

    def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
        """The weights stay as they are: nobody will read them."""

    def apply(self, layer: torch.nn.Module, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Raises PlaceholderUsed."""
        return self.placeholder(layer, x, bias)


# Loaders are chosen by the name of a method's class; these are written for the newer kind.
linear.WEIGHT_LOADER_V2_SUPPORTED.extend([PortableLinearMethod.__name__, PlaceholderLinearMethod.__name__])


def refusals_here(layer: Shaped, dtype: torch.dtype) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The portable kernels for a layer best first, with why they cannot serve it on the engine's device."""
    capability = current_platform.get_device_capability()
    yield from portable_refusals(
        layer,
        dtype=str(dtype).removeprefix("torch."),
        device="rocm" if current_platform.is_rocm() else current_platform.device_type,
        capability=capability.to_int() if capability is not None else None,
    )
