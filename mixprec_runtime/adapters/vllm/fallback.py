"""The engine's kernel where it proves itself, a portable one where it doesn't."""

from __future__ import annotations

__all__ = ["with_choice", "with_fallback"]

import logging
from typing import Any

import torch
from vllm.model_executor.layers.quantization.base_config import QuantizeMethodBase

from mixprec_doctor.records.format import FormatKind
from mixprec_runtime.adapters.vllm.engineconfig import kept_from
from mixprec_runtime.adapters.vllm.handed import Handed
from mixprec_runtime.adapters.vllm.methods import kernel_name
from mixprec_runtime.adapters.vllm.portable import portable_class
from mixprec_runtime.adapters.vllm.proof import KernelVerdict, prove

logger = logging.getLogger("vllm.mixprec")


def with_fallback(
    method: QuantizeMethodBase, kind: FormatKind, proofs: dict[tuple[object, ...], KernelVerdict]
) -> QuantizeMethodBase:
    """The same method object, which proves its kernel when weights are made and falls back when that fails.

    The shape of this rank's part is known only then. ``proofs`` keeps one verdict per method and shape. Until then the
    object's class is a subclass of the same name, because engines pick weight loaders by that name.
    """
    own = type(method)

    class Proving(own):  # type: ignore[misc, valid-type]  # the engine is untyped here
        def create_weights(self, layer: torch.nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            self.__class__ = own
            verdict = _verdict(self, layer, kind, proofs, _named_arguments(args, kwargs))
            portable = portable_class(own, kind) if verdict.fault is not None else None
            if portable is not None:
                self.__class__ = portable
            self.create_weights(layer, *args, **kwargs)

    Proving.__name__ = own.__name__
    method.__class__ = Proving
    return method


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
            has = portable_class(type(method), kind) is not None
            what = "a portable kernel takes its place" if has else "mixprec has no portable kernel for it"
            logger.warning("mixprec: %s: %s; %s", proofs[key].method, proofs[key].fault, what)
    return proofs[key]
