"""A linear method of our own for layers that no kernel of SGLang serves: its parameters are a checkpoint's tensors."""

from __future__ import annotations

__all__ = ["PortableLinearMethod"]

from types import SimpleNamespace

from sglang.srt.layers import linear, parameter
from sglang.srt.layers.quantization.base_config import LinearMethodBase

from mixprec_doctor.records.format import Format
from mixprec_runtime.adapters.portable_method import ParameterKinds, PortableMethod, Stored


class PortableLinearMethod(PortableMethod, LinearMethodBase):
    """Weights as a checkpoint holds them, applied by one of mixprec's portable kernels."""

    kinds = ParameterKinds.of(parameter)

    def __init__(self, kernel: str, form: Format, stored: Stored) -> None:
        super().__init__(kernel, form, stored)
        # the engine's loaders of fused layers ask for the size of blocks here
        self.quant_config = SimpleNamespace(weight_block_size=list(form.block) if form.block else None)


# Loaders are chosen by the name of a method's class; this one is written for the newer kind.
linear.WEIGHT_LOADER_V2_SUPPORTED.append(PortableLinearMethod.__name__)
