"""What portable linear methods of all engines share: parameters that hold a checkpoint's tensors, and their use.

Engines that descend from vLLM have the same parameter classes under the same names, each with loaders of its own. The
methods here get those classes as data, so that fused layers and tensor parallelism stay the engine's.
"""

from __future__ import annotations

__all__ = ["ParameterKinds", "ParameterMaker", "PortableMethod", "Stored"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

import torch
from torch.nn import Parameter

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.adapters.layers import DTYPES
from mixprec_runtime.adapters.tensors import group_order_is_trivial
from mixprec_runtime.kernels.portable import apply, prepare
from mixprec_runtime.planning.ranks import AXES, WHOLE

Stored = Mapping[str, tuple[str, tuple[int, ...]]]  # a module's tensors by suffix: safetensors type and whole shape
SCALARS = frozenset({"input_scale", "activation_scale", "weight_scale_2", "weight_global_scale", "input_global_scale"})
PARAMETERS: Mapping[str, str] = {
    "plain": "BasevLLMParameter", "row": "RowvLLMParameter", "weight": "ModelWeightParameter",
    "packed": "PackedvLLMParameter", "packed_column": "PackedColumnParameter", "channel": "ChannelQuantScaleParameter",
    "group": "GroupQuantScaleParameter", "block": "BlockQuantScaleParameter", "tensor": "PerTensorScaleParameter",
}  # fmt: skip
PARTS: Mapping[object, int] = {"q": 0, "k": 1, "v": 2}  # how engines call the parts of an attention
WORDS = frozenset({"qweight", "qzeros", "weight_packed", "weight_zero_point"})


@dataclass(frozen=True, kw_only=True)
class ParameterKinds:
    """An engine's parameter classes, by what they hold."""

    plain: Callable[..., Parameter]
    row: Callable[..., Parameter]  # one number per input
    weight: Callable[..., Parameter]
    packed: Callable[..., Parameter]
    packed_column: Callable[..., Parameter]  # every rank holds all inputs
    channel: Callable[..., Parameter]
    group: Callable[..., Parameter]
    block: Callable[..., Parameter]
    tensor: Callable[..., Parameter]  # one number per fused part

    @classmethod
    def of(cls, module: object) -> ParameterKinds:
        """The classes of an engine's module of parameters. Raises AttributeError for one that it lacks."""
        return cls(**{kind: getattr(module, name) for kind, name in PARAMETERS.items()})


class PortableMethod:
    """Weights as a checkpoint holds them, applied by a portable kernel; an engine's linear method inherits it."""

    kinds: ParameterKinds
    hands_order: ClassVar[bool] = False  # whether the engine hands layers a g_idx that is in order, which says nothing

    def __init__(self, kernel: str, form: Format, stored: Stored) -> None:
        self.mixprec_kernel = kernel
        self.format = form
        self.stored = stored

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
        """A parameter for each of the checkpoint's tensors, of this rank's size."""
        layer.logical_widths = output_partition_sizes
        layer.orig_dtype = params_dtype
        layer.weight_block_size = list(self.format.block) if self.format.block else None
        maker = ParameterMaker(
            self.kinds, self.format, inputs=input_size_per_partition, outputs=output_partition_sizes,
            full_inputs=input_size,
        )  # fmt: skip
        for suffix, (dtype, shape) in self.stored.items():
            if suffix == "bias" or (suffix == "g_idx" and not (self.format.act_order or self.hands_order)):
                continue  # the engine makes the one; the other says nothing
            parameter = maker.make(suffix, DTYPES[dtype], shape, fitting(extra["weight_loader"]))
            layer.register_parameter(suffix, parameter)
        layer.mixprec_names = tuple(name for name, _ in layer.named_parameters(recurse=False) if name != "bias")

    def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
        """Bring the weights into the kernel's order; what was loaded is let go."""
        tensors = {name: getattr(layer, name).data for name in layer.mixprec_names if name != "weight_shape"}
        if "g_idx" in tensors and not self.format.act_order:
            tensors["g_idx"] = from_zero(tensors["g_idx"])
        state = prepare(self.mixprec_kernel, self.format, tensors, list(layer.logical_widths), layer.orig_dtype)
        for name in layer.mixprec_names:
            delattr(layer, name)
        del tensors
        for name, value in state.items():
            kept = Parameter(value, requires_grad=False) if isinstance(value, torch.Tensor) else value
            setattr(layer, f"mixprec_{name}", kept)
        layer.mixprec_names = tuple(state)

    def apply(self, layer: torch.nn.Module, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """``x @ weight.T + bias``."""
        state = {name: getattr(layer, f"mixprec_{name}") for name in layer.mixprec_names}
        return apply(self.mixprec_kernel, x, state, bias)


def from_zero(g_idx: torch.Tensor) -> torch.Tensor:
    """A rank's part of a ``g_idx`` that is in order, counted from its own first group; any other as it is."""
    counted = g_idx - g_idx.min()
    return counted if group_order_is_trivial(counted) else g_idx


def fitting(loader: Callable[..., None]) -> Callable[..., None]:
    """The engine's loader, given as many axes as the parameter has: scales lie as [out] and as [out, 1]."""

    def load(parameter: Parameter, loaded: torch.Tensor, *shard: Any, **named: Any) -> None:  # noqa: ANN401
        if loaded.ndim == 1 and parameter.ndim == 2:
            loaded = loaded.unsqueeze(1)
        if loaded.ndim != parameter.ndim and loaded.numel() == 1:
            loaded = loaded.reshape([1] * parameter.ndim)
        loader(parameter, loaded, *shard, **named)

    return load


def part_by_part(starts: Sequence[int], loader: Callable[..., None]) -> Callable[..., None]:
    """A loader for scales of blocks where a fused part ends inside one, so that the next begins with a row of its own.

    An engine would place the next part by its outputs, in the row that the part before it ends in.
    """

    def load(parameter: Parameter, loaded: torch.Tensor, *shard: Any, **named: Any) -> None:  # noqa: ANN401
        part = PARTS.get(shard[0], shard[0]) if shard else None
        if not isinstance(part, int):
            return loader(parameter, loaded, *shard, **named)
        place = parameter.data[starts[part] : starts[part + 1]]
        if place.shape != loaded.shape:
            raise ValueError(f"scales of part {part} have shape {list(loaded.shape)}, wanted {list(place.shape)}")
        place.copy_(loaded)
        return None

    return load


class ParameterMaker:
    """Parameters of one layer as this rank holds it, one for each tensor of a checkpoint."""

    def __init__(
        self, kinds: ParameterKinds, form: Format, *, inputs: int, outputs: Sequence[int], full_inputs: int
    ) -> None:
        self.kinds = kinds
        self.form, self.inputs, self.outputs, self.full_inputs = form, inputs, outputs, full_inputs
        self.axes = AXES.get(form.kind, WHOLE)
        self.factor = 32 // form.bits

    def make(self, suffix: str, dtype: torch.dtype, shape: tuple[int, ...], loader: Callable[..., None]) -> Parameter:
        """The engine's parameter for one tensor of the checkpoint."""
        out_axis, in_axis = self.axes.get(suffix, (None, None))
        if suffix in SCALARS or (suffix.startswith("weight_scale") and self.form.scale == "tensor"):
            data = torch.ones(len(self.outputs), dtype=dtype)
            return self.kinds.tensor(data=data, weight_loader=loader)
        if out_axis is None and in_axis is None:
            return self.kinds.plain(data=torch.empty(shape, dtype=dtype), weight_loader=loader)
        if out_axis is None:
            return self.kinds.row(data=torch.empty(self.inputs, dtype=dtype), input_dim=in_axis, weight_loader=loader)
        out, in_ = self._extent_out(suffix), self._extent_in(suffix)
        axes = {"output_dim": out_axis, "weight_loader": loader}
        sizes = {out_axis: out, 1 - out_axis: in_}
        data = torch.empty(sizes[0], sizes[1], dtype=dtype)
        if suffix in WORDS:
            packed = {"packed_dim": self._packed_axis(suffix), "packed_factor": self.factor}
            if self._whole_groups(suffix):
                return self.kinds.packed_column(data=data, **packed, **axes)
            return self.kinds.packed(data=data, input_dim=in_axis, **packed, **axes)
        if suffix == "weight":
            return self.kinds.weight(data=data, input_dim=in_axis, **axes)
        if self._whole_groups(suffix):
            return self.kinds.channel(data=data, **axes)
        if self.form.block is None:
            return self.kinds.group(data=data, input_dim=in_axis, **axes)
        high = self.form.block[0]
        if any(out % high for out in self.outputs[:-1]):
            starts = list(accumulate((-(-out // high) for out in self.outputs), initial=0))
            axes["weight_loader"] = part_by_part(starts, loader)
        return self.kinds.block(data=data, input_dim=in_axis, **axes)

    def _packed_axis(self, suffix: str) -> int:
        return {"qweight": 0, "qzeros": 1, "weight_packed": 1, "weight_zero_point": 0}[suffix] if (
            self.form.kind is not FormatKind.AWQ
        ) else 1  # fmt: skip

    def _extent_out(self, suffix: str) -> int:
        out_axis = self.axes[suffix][0]
        if suffix in WORDS and self._packed_axis(suffix) == out_axis:
            return sum(self.outputs) // self.factor
        if self.form.block and suffix.startswith("weight_scale"):
            return sum(-(-out // self.form.block[0]) for out in self.outputs)
        return sum(self.outputs)

    def _extent_in(self, suffix: str) -> int:
        in_axis = self.axes[suffix][1]
        if suffix in ("weight", "qweight", "weight_packed"):
            return self.inputs // self.factor if self._packs_inputs(suffix, in_axis) else self.inputs
        if self.form.block:
            return -(-self.inputs // self.form.block[1])
        if self.form.group is None:
            return 1
        return (self.full_inputs if self._whole_groups(suffix) else self.inputs) // self.form.group

    def _packs_inputs(self, suffix: str, in_axis: int | None) -> bool:
        return suffix in WORDS and self._packed_axis(suffix) == in_axis

    def _whole_groups(self, suffix: str) -> bool:
        """Scales that every rank holds: one group for all inputs, or groups that act-order scatters over all ranks."""
        scattered = self.form.act_order and self.inputs != self.full_inputs
        grouped = suffix not in ("weight", "qweight", "weight_packed")
        return grouped and not self.form.block and (self.form.group is None or scattered)
