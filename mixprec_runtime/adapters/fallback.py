"""The engine's kernel where it proves itself, a portable one where it doesn't."""

from __future__ import annotations

__all__ = ["EngineParts", "portable_for", "with_choice", "with_fallback", "without_engine"]

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.adapters.handed import Handed
from mixprec_runtime.adapters.making import Shaped
from mixprec_runtime.adapters.portable_method import PortableMethod, Stored
from mixprec_runtime.adapters.proof import KernelVerdict, prove
from mixprec_runtime.kernels.placeholder import Placeholder

Layout = Callable[[], tuple[Format, Stored]]


@dataclass(frozen=True, kw_only=True)
class EngineParts:
    """What an engine's adapter brings: its linear methods of ours, and how its own tell and choose their kernels."""

    portable: Callable[[str, Format, Stored], PortableMethod]
    placeholder: Callable[[Placeholder, Format, Stored], PortableMethod]
    refusals: Callable[[Shaped, torch.dtype], Iterator[tuple[str, tuple[str, ...]]]]  # of portable kernels, best first
    kept_from: Callable[[Iterable[str]], AbstractContextManager[None]]  # these kernels of the engine
    kernel_name: Callable[[Any], str | None]  # of a layer
    method_name: Callable[[Any], str]
    logger: logging.Logger


@dataclass(frozen=True)
class _Asked:
    format: Format
    shape: LinearShape


def with_fallback(
    method: Any,  # noqa: ANN401  the engine's linear method
    kind: FormatKind,
    proofs: dict[tuple[object, ...], KernelVerdict],
    layout: Layout,
    parts: EngineParts,
) -> Any:  # noqa: ANN401
    """The same method object, which proves its kernel when weights are made and falls back when that fails.

    The shape of this rank's part is known only then. ``proofs`` keeps one verdict per method and shape. Until then the
    object's class is a subclass of the same name, because engines pick weight loaders by that name. ``layout`` says
    how the layer lies in its checkpoint.
    """
    own = type(method)

    class Proving(own):  # type: ignore[misc, valid-type]
        def create_weights(self, layer: torch.nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            self.__class__ = own
            arguments = _named_arguments(args, kwargs)
            verdict = _verdict(self, layer, kind, proofs, arguments, parts)
            if verdict.fault is not None:
                self.mixprec_portable = portable_for(layer, layout(), arguments, parts)
                self.mixprec_kernel = self.mixprec_portable.mixprec_kernel
                self.__class__ = _delegating(own)
            self.create_weights(layer, *args, **kwargs)

    Proving.__name__ = own.__name__
    method.__class__ = Proving
    return method


def without_engine(layout: tuple[Format, Stored], parts: EngineParts) -> PortableMethod:
    """A portable method for a layer of which the engine refuses the format; it picks its kernel by the shape."""
    method = parts.portable("undecided", *layout)
    own = type(method)

    class Picking(own):  # type: ignore[misc, valid-type]
        def create_weights(self, layer: torch.nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            picked: Any = portable_for(layer, layout, _named_arguments(args, kwargs), parts)
            self.__class__ = type(picked)
            self.__dict__.update(vars(picked))
            self.create_weights(layer, *args, **kwargs)

    Picking.__name__ = own.__name__
    method.__class__ = Picking
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


def portable_for(
    layer: torch.nn.Module, layout: tuple[Format, Stored], arguments: dict[str, Any], parts: EngineParts
) -> PortableMethod:
    """The best portable kernel for a layer; the last of them refuses nothing that can be planned."""
    form, stored = layout
    outputs = tuple(arguments["output_partition_sizes"])
    shape = LinearShape(
        inputs=arguments["input_size_per_partition"], outputs=outputs, full_inputs=arguments["input_size"],
        full_outputs=outputs,
    )  # fmt: skip
    refused = dict(parts.refusals(_Asked(form, shape), arguments["params_dtype"]))
    kernel = next((name for name, reasons in refused.items() if not reasons), None)
    if kernel is not None:
        return parts.portable(kernel, form, stored)
    prefix = getattr(layer, "prefix", "a layer")
    reasons = tuple(f"{name}: {'; '.join(why)}" for name, why in refused.items())
    return parts.placeholder(Placeholder(prefix, form.name, reasons), form, stored)


def with_choice(method: Any, handed: Handed, parts: EngineParts) -> Any:  # noqa: ANN401
    """The same method object, kept from the kernels that failed while it chooses one; nothing is tried again."""
    own = type(method)

    class Kept(own):  # type: ignore[misc, valid-type]
        def create_weights(self, layer: torch.nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            self.__class__ = own
            with parts.kept_from(handed.without):
                self.create_weights(layer, *args, **kwargs)
            found = _chosen(self, layer, parts)
            if found is not None and found != handed.kernel:
                parts.logger.warning("mixprec: %s was proved, the engine took %s", handed.kernel, found)

    Kept.__name__ = own.__name__
    method.__class__ = Kept
    return method


def _chosen(method: object, layer: torch.nn.Module, parts: EngineParts) -> str | None:
    shown = torch.nn.Module()
    shown.__dict__.update({"quant_method": method, "scheme": getattr(layer, "scheme", None)})
    return parts.kernel_name(shown)


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
    method: object,
    layer: torch.nn.Module,
    kind: FormatKind,
    proofs: dict[tuple[object, ...], KernelVerdict],
    arguments: dict[str, Any],
    parts: EngineParts,
) -> KernelVerdict:
    scheme = type(getattr(layer, "scheme", None)).__name__
    shape = tuple(str(arguments[name]) for name in WEIGHT_ARGUMENTS)
    key = (type(method).__qualname__, scheme, kind, shape)
    if key not in proofs:
        proofs[key] = prove(method, layer, kind, arguments, named=parts.method_name)
        if proofs[key].fault is not None:
            what = "a portable kernel takes its place"
            parts.logger.warning("mixprec: %s: %s; %s", proofs[key].method, proofs[key].fault, what)
    return proofs[key]
