"""SGLang linear methods of our own: for layers that no kernel of the engine serves, or none at all.

Their parameters are a checkpoint's tensors, held in the engine's own parameter classes with the engine's own loaders.
"""

from __future__ import annotations

__all__ = ["PlaceholderLinearMethod", "PortableLinearMethod", "refusals_here"]

from collections.abc import Iterator
from types import SimpleNamespace

import sglang.srt.layers.quantization  # noqa: F401  before the layers: earlier releases import in a circle
import torch
from sglang.srt.layers import linear, parameter

from mixprec_doctor.records.format import Format
from mixprec_runtime.adapters.making import Shaped, portable_refusals
from mixprec_runtime.adapters.portable_method import ParameterKinds, PortableMethod, Stored
from mixprec_runtime.adapters.sglang.methodbase import LinearMethodBase
from mixprec_runtime.kernels.placeholder import Placeholder


class PortableLinearMethod(PortableMethod, LinearMethodBase):
    """Weights as a checkpoint holds them, applied by one of mixprec's portable kernels."""

    kinds = ParameterKinds.of(parameter)
    hands_order = True

    def __init__(self, kernel: str, form: Format, stored: Stored) -> None:
        super().__init__(kernel, form, stored)
        # the engine's loaders of fused layers ask for the size of blocks here
        self.quant_config = SimpleNamespace(weight_block_size=list(form.block) if form.block else None)


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
    """The portable kernels for a layer best first, with why they cannot serve it where layers are made."""
    kind = torch.get_default_device().type
    capability = None
    if kind == "cuda":
        major, minor = torch.cuda.get_device_capability()
        capability = major * 10 + minor
    yield from portable_refusals(
        layer,
        dtype=str(dtype).removeprefix("torch."),
        device="rocm" if kind == "cuda" and torch.version.hip else kind,
        capability=capability,
    )
