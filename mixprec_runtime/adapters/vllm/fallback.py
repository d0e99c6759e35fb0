"""The engine's kernel where it proves itself, a portable one where it doesn't."""

from __future__ import annotations

__all__ = ["with_choice", "with_fallback"]

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from vllm.model_executor.layers.quantization.base_config import QuantizeMethodBase

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.adapters.portable_method import Stored
from mixprec_runtime.adapters.vllm.engineconfig import kept_from
from mixprec_runtime.adapters.vllm.handed import Handed
from mixprec_runtime.adapters.vllm.methods import kernel_name
from mixprec_runtime.adapters.vllm.portable_method import (
    PlaceholderLinearMethod,
    PortableLinearMethod,
    refusals_here,
)
from mixprec_runtime.adapters.vllm.proof import KernelVerdict, prove
from mixprec_runtime.kernels.placeholder import Placeholder

logger = logging.getLogger("vllm.mixprec")


Layout = Callable[[], tuple[Format, Stored]]


@dataclass(frozen=True)
class _Asked:
    format: Format
    shape: LinearShape


def with_fallback(
    method: QuantizeMethodBase, kind: FormatKind, proofs: dict[tuple[object, ...], KernelVerdict], layout: Layout
) -> QuantizeMethodBase:
    """The same method object, which proves its kernel when weights are made and falls back when that fails.

    The shape of this rank's part is known only then. ``proofs`` keeps one verdict per method and shape. Until then the
    object's class is a subclass of the same name, because engines pick weight loaders by that name. ``layout`` says
    how the layer lies in its checkpoint.
    """
    own = type(method)

    class Proving(own):  # type: ignore[misc, valid-type]  # the engine is untyped here
        def create_weights(self, layer: torch.nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            self.__class__ = own
            arguments = _named_arguments(args, kwargs)
            verdict = _verdict(self, layer, kind, proofs, arguments)
            if verdict.fault is not None:
                self.mixprec_portable = _portable(layer, layout(), arguments)
                self.mixprec_kernel = self.mixprec_portable.mixprec_kernel
                self.__class__ = _delegating(own)
            self.create_weights(layer, *args, **kwargs)

    Proving.__name__ = own.__name__
    method.__class__ = Proving
    return method


def _delegating(own: type) -> type:
    """The engine's class by name, all of whose work a portable method does."""

    class Delegating(own):
        def create_weights(self, layer: torch.nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            arguments = _named_arguments(args, kwargs)
            # the loader was picked by the name of the engine's method; these parameters are for the newer kind
            arguments["weight_loader"] = getattr(layer, "weight_loader_v2", arguments["weight_loader"])
            self.mixprec_portable.create_weights(layer, **arguments)

        def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
            self.mixprec_portable.process_weights_after_loading(layer)

        def apply(self, layer: torch.nn.Module, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
            found: torch.Tensor = self.mixprec_portable.apply(layer, x, bias)
            return found

    Delegating.__name__ = own.__name__
    return Delegating


def _portable(layer: torch.nn.Module, layout: tuple[Format, Stored], arguments: dict[str, Any]) -> PortableLinearMethod:
    """The best portable kernel for a layer; the last of them refuses nothing that can be planned."""
    form, stored = layout
    outputs = tuple(arguments["output_partition_sizes"])
    shape = LinearShape(
        inputs=arguments["input_size_per_partition"], outputs=outputs, full_inputs=arguments["input_size"],
        full_outputs=outputs,
    )  # fmt: skip
    kernel = next(
        (name for name, reasons in refusals_here(_Asked(form, shape), arguments["params_dtype"]) if not reasons), None
    )
    if kernel is not None:
        return PortableLinearMethod(kernel, form, stored)
    prefix = getattr(layer, "prefix", "a layer")
    reasons = tuple(
        f"{name}: {'; '.join(why)}" for name, why in refusals_here(_Asked(form, shape), arguments["params_dtype"])
    )
    return PlaceholderLinearMethod(Placeholder(prefix, form.name, reasons), form, stored)


def with_choice(method: QuantizeMethodBase, handed: Handed) -> QuantizeMethodBase:
    """The same method object, kept from the kernels that failed while it chooses one; nothing is tried again."""
    own = type(method)

    class Kept(own):  # type: ignore[misc, valid-type]  # the engine is untyped here
        def create_weights(self, layer: torch.nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            self.__class__ = own
            with kept_from(handed.without):
                self.create_weights(layer, *args, **kwargs)
            found = _chosen(self, layer)
            if found is not None and found != handed.kernel:
                logger.warning("mixprec: %s was proved, the engine took %s", handed.kernel, found)

    Kept.__name__ = own.__name__
    method.__class__ = Kept
    return method


def _chosen(method: QuantizeMethodBase, layer: torch.nn.Module) -> str | None:
    shown = torch.nn.Module()
    shown.__dict__.update({"quant_method": method, "scheme": getattr(layer, "scheme", None)})
    return kernel_name(shown)


WEIGHT_ARGUMENTS = (
    "input_size_per_partition",
    "output_partition_sizes",
    "input_size",
    "output_size",
    "params_dtype",
)


def _named_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**dict(zip(WEIGHT_ARGUMENTS, args, strict=False)), **kwargs}


def _verdict(
    method: QuantizeMethodBase,
    layer: torch.nn.Module,
    kind: FormatKind,
    proofs: dict[tuple[object, ...], KernelVerdict],
    arguments: dict[str, Any],
) -> KernelVerdict:
    scheme = type(getattr(layer, "scheme", None)).__name__
    shape = tuple(str(arguments[name]) for name in WEIGHT_ARGUMENTS)
    key = (type(method).__qualname__, scheme, kind, shape)
    if key not in proofs:
        proofs[key] = prove(method, layer, kind, arguments)
        if proofs[key].fault is not None:
            what = "a portable kernel takes its place"
            logger.warning("mixprec: %s: %s; %s", proofs[key].method, proofs[key].fault, what)
    return proofs[key]
