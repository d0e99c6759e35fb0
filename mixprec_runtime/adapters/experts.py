"""Experts as engines hold them, gate and up in ``w13`` and down in ``w2`` for all experts, with portable kernels.

Parameters hold a checkpoint's tensors and are filled by the engine's own loader of experts, which cuts them for tensor
parallelism; only the order of groups, which not every engine takes, has a loader here.
"""

from __future__ import annotations

__all__ = ["ExpertPart", "ExpertTensor", "UnservableExperts", "expert_states", "experts_output", "part_tensors"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.adapters.layers import DTYPES
from mixprec_runtime.kernels.portable import State, apply, prepare
from mixprec_runtime.planning.ranks import AXES, WHOLE

Stored = Mapping[str, tuple[str, tuple[int, ...]]]
INNER, OUTER = "w13", "w2"
ORDERS = frozenset({"g_idx", "weight_g_idx"})
SINGLE = frozenset({"input_scale"})
OUTPUTS_LAST = frozenset({FormatKind.GPTQ, FormatKind.AWQ})


class UnservableExperts(MixprecError):
    """Experts that neither the engine nor a portable kernel can serve here."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, layer: str, reasons: tuple[str, ...]) -> None:
        super().__init__(layer, reasons)
        self.layer = layer
        self.reasons = reasons

    def __str__(self) -> str:
        return f"nothing serves {self.layer} here:" + "".join(f"\n  {reason}" for reason in self.reasons)


@dataclass(frozen=True, kw_only=True)
class ExpertTensor:
    """One parameter: its name and shape, and the marks by which the engine's loader knows how to fill it."""

    name: str
    suffix: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    marks: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class ExpertPart:
    """``w13`` or ``w2`` of one rank. ``outputs`` and ``inputs`` are those of one of its matrices, of which it has
    ``count``; ``ranks`` share the outputs of ``w13`` and the inputs of ``w2``."""

    name: str
    format: Format
    stored: Stored
    outputs: int
    inputs: int
    ranks: int = 1

    @property
    def count(self) -> int:
        """Gate and up, or down alone."""
        return 2 if self.name == INNER else 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Outputs of its matrices, one after the other."""
        return (self.outputs,) * self.count


def part_tensors(part: ExpertPart, experts: int) -> Iterator[ExpertTensor]:
    """The parameters of a part, one for each tensor that the checkpoint has of one of its matrices.

    Raises ValueError where ranks cannot share one.
    """
    axes = AXES.get(part.format.kind, WHOLE)
    for suffix, (dtype, shape) in part.stored.items():
        if suffix == "bias":
            raise ValueError("experts with biases")
        marks: dict[str, object] = {"is_transposed": part.format.kind in OUTPUTS_LAST}
        if suffix in ORDERS:
            held: tuple[int, ...] = (part.count, part.inputs) if part.format.act_order else (0,)
            if part.format.act_order and part.ranks > 1:
                raise ValueError("act-order with tensor parallelism")
        elif suffix == "weight_shape":
            held = (2,)
        elif suffix in SINGLE:
            held = ()
        elif suffix.startswith("weight_scale") and part.format.scale == "tensor":
            held = (part.count,) if part.count > 1 else ()
            marks["quant_method"] = "tensor"
        else:
            held = _cut(part, suffix, shape, axes.get(suffix, (None, None)))
            if suffix not in ("weight", "qweight", "weight_packed"):
                marks["quant_method"] = _shared_by(part.format, shape, axes.get(suffix, (None, None)))
        full = held if held == (0,) else (experts, *held)
        yield ExpertTensor(
            name=f"{part.name}_{suffix}", suffix=suffix, dtype=DTYPES[dtype], shape=full, marks=marks
        )  # fmt: skip


def _cut(part: ExpertPart, suffix: str, shape: tuple[int, ...], axes: tuple[int | None, int | None]) -> tuple[int, ...]:
    out_axis, in_axis = axes
    if out_axis is None:
        raise ValueError(f"a tensor {suffix}")
    held = list(shape)
    shared = out_axis if part.name == INNER else in_axis
    if part.ranks > 1 and shared is not None and shared < len(held) and held[shared] > 1:
        if held[shared] % part.ranks:
            raise ValueError(f"{part.ranks} ranks with {held[shared]} rows of {suffix}")
        held[shared] //= part.ranks
    held[out_axis] *= part.count
    return tuple(held)


def _shared_by(form: Format, shape: tuple[int, ...], axes: tuple[int | None, int | None]) -> str:
    """What has a scale of its own, in the words of the engine's loader."""
    if form.scale == "block":
        return "block"
    in_axis = axes[1]
    whole = in_axis is None or in_axis >= len(shape) or shape[in_axis] == 1
    return "channel" if whole else "group"


def expert_states(
    part: ExpertPart, kernel: str, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype
) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """What the kernel keeps of all experts, by name: tensors [experts, ...], and numbers that are the same for all.

    ``tensors`` are the loaded parameters by the last part of their names. A part with an order of its own for each
    matrix has states of gate and up one after the other. Raises UnpreparableWeight, and ValueError where experts
    differ in what they keep.
    """
    used = {name: value for name, value in tensors.items() if name != "weight_shape" and value.numel()}
    experts = next(iter(used.values())).shape[0]
    kept: dict[str, torch.Tensor] = {}
    numbers: dict[str, int] = {}
    for expert in range(experts):
        state = _state(part, kernel, {name: value[expert] for name, value in used.items()}, dtype)
        found = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
        counted = {name: value for name, value in state.items() if not isinstance(value, torch.Tensor)}
        if expert == 0:
            kept = {name: _room_for(experts, value) for name, value in found.items()}
            numbers = counted
        shapes = {name: value.shape[1:] for name, value in kept.items()}
        if numbers != counted or shapes != {name: value.shape for name, value in found.items()}:
            raise ValueError(f"experts of one layer that differ in how {part.format.name} lies")
        for name, value in found.items():
            kept[name][expert].copy_(value)
    return kept, numbers


def _room_for(experts: int, value: torch.Tensor) -> torch.Tensor:
    """Memory for that many tensors of a kind, each with its own order of dimensions, which kernels mind."""
    dense = torch.empty_like(value)  # of the same strides where they leave no gaps
    return value.new_empty(0).new_empty_strided((experts, *value.shape), (value.numel(), *dense.stride()))


def _state(part: ExpertPart, kernel: str, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype) -> State:
    if not part.format.act_order:
        return prepare(kernel, part.format, tensors, part.widths, dtype)
    state: State = {}
    for number in range(part.count):
        alone = {name: _matrix(part, name, value, number) for name, value in tensors.items()}
        for name, value in prepare(kernel, part.format, alone, (part.outputs,), dtype).items():
            state[f"{number}_{name}"] = value
    return state


def _matrix(part: ExpertPart, suffix: str, tensor: torch.Tensor, number: int) -> torch.Tensor:
    """One matrix's share of a tensor that holds all of them."""
    if suffix in ORDERS:
        return tensor[number]
    out_axis = AXES.get(part.format.kind, WHOLE).get(suffix, (None, None))[0]
    if out_axis is None or part.count == 1:
        return tensor
    return tensor.chunk(part.count, dim=out_axis)[number].contiguous()


def linear_of(part: ExpertPart, kernel: str) -> Callable[[torch.Tensor, State], torch.Tensor]:
    """The product of inputs with all matrices of one expert's state, along the last axis."""
    if not part.format.act_order:
        return lambda x, state: apply(kernel, x, state)

    def each(x: torch.Tensor, state: State) -> torch.Tensor:
        found = []
        for number in range(part.count):
            own = {name.partition("_")[2]: value for name, value in state.items() if name.startswith(f"{number}_")}
            found.append(apply(kernel, x, own))
        return torch.cat(found, dim=-1)

    return each


def experts_output(
    x: torch.Tensor,
    weights: torch.Tensor,
    ids: torch.Tensor,
    *,
    experts: Sequence[int],
    one: Callable[[int, torch.Tensor], torch.Tensor],
    on_input: bool = False,
    everywhere: bool = False,
) -> torch.Tensor:
    """The sum over each token's experts of their output, times the router's weight.

    ``one`` computes one expert; ``ids`` beyond ``experts`` belong to other ranks. ``everywhere``: each expert sees all
    tokens and those that are not its own count nothing, which has one form whatever the router says.
    """
    out = torch.zeros(x.shape, dtype=torch.float32, device=x.device)
    used = experts if everywhere else [each for each in ids.unique().tolist() if each in experts]
    for expert in used:
        share = torch.where(ids == expert, weights, torch.zeros_like(weights)).sum(dim=-1, keepdim=True)
        rows: torch.Tensor | slice = slice(None)
        if not everywhere:
            rows = (ids == expert).any(dim=-1).nonzero()[:, 0]
        mine, factor = x[rows], share[rows]
        given = mine * factor.to(mine.dtype) if on_input else mine
        found = one(expert, given).to(torch.float32)
        if not on_input:
            found = found * factor
        elif everywhere:
            found = torch.where(factor != 0, found, torch.zeros_like(found))
        out[rows] += found
    return out.to(x.dtype)
