"""mixprec's portable kernels behind the engine's linear-method interface.

Creating weights, and with it loading and tensor parallelism, stays the engine's. Only what comes after loading, and
applying, is replaced; and only on the methods that ``MixprecConfig`` handed out for layers whose own kernel failed.
"""

from __future__ import annotations

__all__ = ["has_portable", "with_fallback"]

import logging
from typing import Any

import torch
from torch.nn import Parameter
from vllm.model_executor.layers.quantization.base_config import QuantizeMethodBase

from mixprec_runtime.adapters.vllm.proof import KernelVerdict, prove
from mixprec_runtime.kernels.int4 import GROUPS, from_awq, from_gptq, int4_linear
from mixprec_runtime.records.format import FormatKind

logger = logging.getLogger("vllm.mixprec")


def has_portable(kind: FormatKind) -> bool:
    """Whether a portable kernel exists for the format on the device in use."""
    return kind in (FormatKind.GPTQ, FormatKind.AWQ) and torch.get_default_device().type == "cpu"


def with_fallback(
    method: QuantizeMethodBase, kind: FormatKind, proofs: dict[tuple[object, ...], KernelVerdict]
) -> QuantizeMethodBase:
    """The same method object, which proves its kernel when weights are made and falls back when that fails.

    Its class becomes a subclass of the same name: the engine picks weight loaders by the name of a method's class.
    """
    own = type(method)

    class Proving(own):  # type: ignore[misc, valid-type]  # the engine is untyped here
        def create_weights(
            self,
            layer: torch.nn.Module,
            input_size_per_partition: int,
            output_partition_sizes: list[int],
            input_size: int,
            output_size: int,
            params_dtype: torch.dtype,
            **extra: Any,  # noqa: ANN401
        ) -> None:
            shape = (input_size_per_partition, tuple(output_partition_sizes), input_size, output_size)
            scheme = type(getattr(layer, "scheme", None)).__name__
            key = (own.__qualname__, scheme, kind, shape, params_dtype)
            self.__class__ = own
            if key not in proofs:
                proofs[key] = prove(
                    self,
                    layer,
                    inputs=input_size_per_partition,
                    outputs=output_partition_sizes,
                    dtype=params_dtype,
                    arguments={"input_size": input_size, "output_size": output_size, **extra},
                )
                _report(proofs[key], kind)
            if proofs[key].fault is not None and has_portable(kind):
                self.__class__ = _portable(own, kind)
            self.create_weights(
                layer, input_size_per_partition, output_partition_sizes, input_size, output_size, params_dtype, **extra
            )

    Proving.__name__ = own.__name__
    method.__class__ = Proving
    return method


def _report(verdict: KernelVerdict, kind: FormatKind) -> None:
    if verdict.fault is None:
        return
    what = "a portable kernel takes its place" if has_portable(kind) else "mixprec has no portable kernel for it"
    logger.warning("mixprec: %s does not run here (%s); %s", verdict.method, verdict.fault, what)


def _portable(own: type, kind: FormatKind) -> type:
    class PortableInt4(own):  # type: ignore[misc, valid-type]  # the engine is untyped here
        mixprec_kernel = "PortableInt4Kernel"

        def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
            dtype = layer.scales.dtype
            if kind is FormatKind.AWQ:
                weight = from_awq(layer.qweight.data, layer.scales.data, layer.qzeros.data, dtype)
            else:
                symmetric = getattr(self.quant_config, "is_sym", True)
                weight = from_gptq(
                    layer.qweight.data, layer.scales.data, None if symmetric else layer.qzeros.data, dtype
                )
            if weight.group not in GROUPS:
                raise ValueError(f"the portable int4 kernel has no groups of {weight.group}, only {sorted(GROUPS)}")
            for name in ("qweight", "qzeros", "scales", "g_idx"):
                if hasattr(layer, name):
                    delattr(layer, name)
            layer.mixprec_packed = Parameter(weight.packed, requires_grad=False)
            layer.mixprec_scales_and_zeros = Parameter(weight.scales_and_zeros, requires_grad=False)
            layer.mixprec_group = weight.group

        def apply(
            self, layer: torch.nn.Module, x: torch.Tensor, bias: torch.Tensor | None = None
        ) -> torch.Tensor:
            return int4_linear(
                x, layer.mixprec_packed, layer.mixprec_scales_and_zeros, layer.mixprec_group, bias
            )

    PortableInt4.__name__ = own.__name__
    return PortableInt4
