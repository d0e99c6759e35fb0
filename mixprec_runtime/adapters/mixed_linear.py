"""What MixedPrecisionLinear is in every engine: one of its linear layers that owns the compressed weights of a plan.

An engine's layer is taken over with all that it knows of itself (sizes, ranks, what happens to its output), so its
loaders of fused and of parallel layers, and its forward pass, stay the engine's; its parameters are made anew by the
quantization method of the layer's source, or by one of mixprec's own with a portable kernel.
"""

from __future__ import annotations

__all__ = ["MixedLinear", "NotFilled", "UnservedLayer"]

import functools
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.nn import Parameter

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.adapters.bookkeeping import module_bytes
from mixprec_runtime.adapters.fallback import portable_for
from mixprec_runtime.adapters.mixture import Mixture
from mixprec_runtime.adapters.surface import Surface
from mixprec_runtime.records.account import LayerMemory

MADE = (torch.Tensor, types.FunctionType, types.BuiltinFunctionType, functools.partial)
"""What methods leave in a layer beside its parameters; what a layer's own constructor sets is none of these."""
_kinds: dict[tuple[type, type], type[MixedLinear]] = {}
FORGOTTEN = frozenset({"scheme", "quant_method", "_parameters", "_buffers"})


class NotFilled(MixprecError):
    """A layer that was used before its weights were loaded."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, layer: str, state: str) -> None:
        super().__init__(layer, state)
        self.layer = layer
        self.state = state

    def __str__(self) -> str:
        return (
            f"wanted the output of {self.layer}, found: {self.state}\n"
            f"  try: load_model_weights(model, plan), or layers=[{self.layer!r}] for this one"
        )


class UnservedLayer(MixprecError):
    """A planned layer for which a source's config has no method."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, layer: str, source: str) -> None:
        super().__init__(layer, source)
        self.layer = layer
        self.source = source

    def __str__(self) -> str:
        return (
            f"wanted a quantized method for {self.layer}, found: the engine's config of source {self.source} has none"
            "\n  try: portable=True, which needs none of the engine's"
        )


@dataclass(kw_only=True)
class _Held:
    """What a mixed layer knows beside what it took over."""

    name: str  # by which the plan's config knows it
    config: Mixture
    device: torch.device
    bias: tuple[int, torch.dtype, Mapping[str, Any]] | None
    portable: bool = False
    state: str = "it has no parameters yet"
    loaded_bytes: int = 0


class MixedLinear:
    """Stands before an engine's base class of linear layers; that one's subclasses stand behind ``taking_over``."""

    surface: ClassVar[Surface]
    kind: ClassVar[type]  # the engine's class that a layer was made of
    mixed: _Held
    mixed_filled: bool

    @classmethod
    def of_kind(cls, kind: type) -> type[MixedLinear]:
        """The subclass that is also the engine's ``kind`` of layer; always the same for one kind."""
        root = _root(cls)
        if (root, kind) not in _kinds:
            # targets of compressed-tensors may name classes, so the engine's name stays part of this one
            promise = f"{kind.__name__} with compressed weights of a plan."
            _kinds[root, kind] = type(f"Mixed{kind.__name__}", (root, kind), {"kind": kind, "__doc__": promise})
        return _kinds[root, kind]

    @classmethod
    def taking_over(
        cls, layer: torch.nn.Module, name: str, config: Mixture, *, device: torch.device | None = None
    ) -> Any:  # noqa: ANN401  an engine's layer, which mypy does not see
        """A layer like the engine's one, without parameters, that serves what the plan calls ``name``."""
        kind = layer.kind if isinstance(layer, MixedLinear) else type(layer)
        made: Any = object.__new__(cls.of_kind(kind))
        kept = {key: value for key, value in vars(layer).items() if _own(key, value)}
        bound = {key: value for key, value in kept.items() if getattr(value, "__self__", None) is layer}
        vars(made).update(kept | {key: getattr(made, value.__name__) for key, value in bound.items()})
        vars(made).update(_parameters={}, _buffers={}, _modules=dict(layer._modules), quant_method=None)
        held = next((p.device for p in layer.parameters(recurse=False) if not p.is_meta), None)
        if isinstance(layer, MixedLinear):
            held, bias = layer.mixed.device, layer.mixed.bias
        else:
            bias = _bias_of(layer)
        found = device or held or torch.get_default_device()
        made.mixed = _Held(name=name, config=config, device=found, bias=bias)
        made.mixed_filled = False
        return made

    @classmethod
    def from_plan(
        cls,
        plan: Any,  # noqa: ANN401  a Planable: importing it here would go round in a circle
        layer: str,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        portable: bool = False,
    ) -> Any:  # noqa: ANN401
        """One layer of a plan alone, loaded strictly and ready to be called.

        ``layer`` is a module of the checkpoint or a fused one of the engine (``...qkv_proj``). The engine's parallel
        state must be there, as it is in its workers. Raises UnplannedLayer, SplitUnit, StrictLoadingError.
        """
        from mixprec_runtime.adapters.single import single_layer

        return single_layer(_root(cls), plan, layer, dtype=dtype, device=device, portable=portable)

    def initialize(self, *, device: torch.device | None = None, portable: bool | None = None) -> None:
        """Make the compressed parameters, empty, on the layer's device; what it held is let go.

        ``portable`` takes a portable kernel whatever the engine has. Raises UnservedLayer, and what the engine raises.
        """
        layer: Any = self
        held = self.mixed
        held.device = device or held.device
        held.portable = held.portable if portable is None else portable
        self._let_go()
        arguments = self._arguments()
        before = torch.get_default_dtype()
        torch.set_default_dtype(layer.params_dtype)
        try:
            with held.device, torch.no_grad():
                method = self._method(arguments)
                layer.quant_method, layer.quant_config = method, held.config
                method.create_weights(layer=self, **arguments, weight_loader=self._loader(method))
                layer.register_parameter("bias", self._made_bias())
        except BaseException:
            self._let_go()
            raise
        finally:
            torch.set_default_dtype(before)
        if hasattr(layer, "update_param_tp_status"):
            layer.update_param_tp_status()
        _tell(method)
        held.state = "its parameters were made, and nothing has filled them"

    @property
    def initialized(self) -> bool:
        """Whether it has a method, and with it parameters; they may be empty."""
        return vars(self)["quant_method"] is not None

    @property
    def filled(self) -> bool:
        """Whether its weights were loaded and repacked, so that it may be called."""
        return self.mixed_filled

    def memory(self) -> LayerMemory:
        """What it is, where its weights come from, and the bytes that it holds now."""
        layer: Any = self
        held = self.mixed
        config = held.config
        source = config.source_of(held.name)
        form = config.layout(source, held.name)[0].name if source is not None else None
        return LayerMemory(
            layer=held.name,
            source=" + ".join(config.sources_of(held.name)) or None,
            format=form,
            method=config.parts.method_name(self) if layer.quant_method is not None else "",
            loaded_bytes=held.loaded_bytes,
            held_bytes=module_bytes(layer, set()),
            members=config.planned_members(held.name),
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """The engine's forward pass. Raises NotFilled before the weights are there."""
        if not self.mixed_filled:
            raise NotFilled(self.mixed.name, self.mixed.state)
        return super().forward(*args, **kwargs)  # type: ignore[misc]

    def _let_go(self) -> None:
        values = vars(self)
        for key in [key for key, value in values.items() if not _own(key, value) or key.startswith("mixprec_")]:
            if key not in ("_parameters", "_buffers"):
                del values[key]
        values["_parameters"].clear()
        values["_buffers"].clear()
        values["quant_method"] = None
        values["_parameters"]["bias"] = None
        self.mixed_filled = False
        self.mixed.loaded_bytes = 0
        self.mixed.state = "it has no parameters yet"

    def _arguments(self) -> dict[str, Any]:
        layer: Any = self
        outputs = getattr(layer, "output_partition_sizes", None) or [
            getattr(layer, "output_size_per_partition", layer.output_size)
        ]
        return {
            "input_size_per_partition": getattr(layer, "input_size_per_partition", layer.input_size),
            "output_partition_sizes": list(outputs),
            "input_size": layer.input_size,
            "output_size": layer.output_size,
            "params_dtype": layer.params_dtype,
        }

    def _method(self, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401
        held = self.mixed
        config: Any = held.config
        source = config.source_of(held.name) or ""
        if held.portable:
            return portable_for(self, config.layout(source, held.name), dict(arguments), config.parts)
        method = config.get_quant_method(self, held.name)
        if method is None:
            raise UnservedLayer(held.name, source)
        return method

    def _loader(self, method: object) -> Any:  # noqa: ANN401
        layer: Any = self
        scheme = getattr(layer, "scheme", None)
        newer = type(method).__name__ in self.surface.newer_loaders or getattr(
            scheme, "requires_weight_loader_v2", False
        )
        return getattr(layer, "weight_loader_v2", layer.weight_loader) if newer else layer.weight_loader

    def _made_bias(self) -> Parameter | None:
        if self.mixed.bias is None:
            return None
        size, dtype, attributes = self.mixed.bias
        bias = Parameter(torch.empty(size, dtype=dtype), requires_grad=False)
        for name, value in attributes.items():
            setattr(bias, name, getattr(self, value.name) if isinstance(value, _OwnMethod) else value)
        return bias


@dataclass(frozen=True)
class _OwnMethod:
    """A bound method of the layer that a parameter was made by; its namesake of the new one takes its place."""

    name: str


def _root(cls: type) -> type[MixedLinear]:
    """The engine's MixedPrecisionLinear, whichever subclass of it is asked."""
    return next(each for each in reversed(cls.__mro__) if issubclass(each, MixedLinear) and "surface" in vars(each))


def _own(key: str, value: object) -> bool:
    bound = isinstance(value, types.MethodType)
    return key not in FORGOTTEN and (bound or not isinstance(value, MADE))


def _bias_of(layer: torch.nn.Module) -> tuple[int, torch.dtype, Mapping[str, Any]] | None:
    bias = layer._parameters.get("bias")
    if bias is None:
        return None
    attributes = {
        name: _OwnMethod(value.__name__) if getattr(value, "__self__", None) is layer else value
        for name, value in vars(bias).items()
    }
    return bias.numel(), bias.dtype, attributes


def _tell(method: Any) -> None:  # noqa: ANN401  a linear method of an engine
    """Have a method note in each layer that it repacks that the layer may be used from then on, whoever calls it."""
    repack = method.process_weights_after_loading

    @functools.wraps(repack)
    def repack_and_tell(layer: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        repack(layer, *args, **kwargs)
        if isinstance(layer, MixedLinear):
            layer.mixed_filled = True
            layer.mixed.state = "it is filled"

    method.process_weights_after_loading = repack_and_tell
