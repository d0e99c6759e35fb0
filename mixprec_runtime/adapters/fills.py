"""Which bytes of which parameter were written, seen from below: by PyTorch's dispatcher.

Every engine has its own weight loaders, but each of them ends in an in-place write into a parameter's storage.
A dispatch mode sees these writes as (storage, offset, sizes, strides), whatever code made them, so that "every
parameter filled exactly once" is observed and not inferred from names. What an operator says it writes may be more than
it does (``index_put_``), and code that goes round the dispatcher is not seen at all: that is what poison is for.
"""

from __future__ import annotations

__all__ = ["TWICE", "FillRecorder", "Region"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

TWICE = "filled more than once"
"""How the verdict ends on a parameter that lacks nothing but was written to again."""

ARITHMETIC = frozenset(
    {"add", "sub", "mul", "div", "neg", "exp", "abs", "clamp", "clamp_min", "clamp_max", "pow", "sqrt", "rsqrt",
     "reciprocal", "lerp", "addcmul", "addcdiv", "addmm", "baddbmm", "index_add", "scatter_add"}
)  # fmt: skip
"""In-place operators that need what is there already: they are no fill."""
WHOLE = frozenset({"copy", "_foreach_copy", "fill", "zero", "_foreach_zero"})
"""Operators that certainly write all of their target."""


Box = tuple[tuple[int, int], ...]
"""``(begin, end)`` along each dimension."""


@dataclass(frozen=True)
class Region:
    """Elements of a parameter: an offset and one (size, stride) per dimension, counted in elements."""

    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def numel(self) -> int:
        """Elements in the region."""
        count = 1
        for size in self.sizes:
            count *= size
        return count

    @property
    def interval(self) -> tuple[int, int] | None:
        """``(begin, end)`` when the region is one run of elements; None when it is strided."""
        expected = 1
        for size, stride in zip(reversed(self.sizes), reversed(self.strides), strict=True):
            if size == 1:
                continue
            if stride != expected:
                return None
            expected *= size
        return self.offset, self.offset + self.numel

    def box(self, shape: tuple[int, ...]) -> Box | None:
        """``(begin, end)`` along each dimension of a contiguous tensor of that shape; None when it is no box in it."""
        steps, left, box = _strides(shape), self.offset, []
        for step in steps:
            begin, left = divmod(left, step)
            box.append((begin, begin + 1))
        for size, stride in zip(self.sizes, self.strides, strict=True):
            if size == 1:
                continue
            at = next((at for at, step in enumerate(steps) if step == stride and shape[at] > 1), None)
            if at is None or box[at][1] - box[at][0] > 1 or box[at][0] + size > shape[at]:
                return None
            box[at] = (box[at][0], box[at][0] + size)
        return tuple(box)


class FillRecorder(TorchDispatchMode):
    """Records in-place writes into the given tensors while it is active.

    ``current`` is the checkpoint tensor on its way; writes count for it. A second write of one tensor over the very
    region that it filled, and arithmetic in place, rework what is there and fill nothing: ``reworked`` names such
    parameters. ``converted`` counts elements that are stored in another type than they came in.
    """

    def __init__(
        self, parameters: Mapping[str, torch.Tensor], *, before_a_part: Callable[[str], None] = lambda name: None
    ) -> None:
        super().__init__()
        self._before_a_part = before_a_part
        self._parameters = {name: p for name, p in parameters.items() if p.numel()}
        self._by_storage: dict[int, list[str]] = {}
        for name, p in self._parameters.items():
            if not p.is_meta:
                self._by_storage.setdefault(p.untyped_storage().data_ptr(), []).append(name)
        self._targets: dict[Any, tuple[tuple[tuple[int, str], ...], bool, bool]] = {}
        self._turn = 0
        self._turns: dict[str, dict[Region, int]] = {name: {} for name in self._parameters}
        self._current: str | None = None
        self.regions: dict[str, list[Region]] = {name: [] for name in self._parameters}
        self.written: dict[str, int] = {}
        self.writers: dict[str, list[str]] = {name: [] for name in self.regions}
        self.reworked: dict[str, None] = {}  # in order
        self.converted: dict[str, int] = {}

    @property
    def current(self) -> str | None:
        """The checkpoint tensor on its way."""
        return self._current

    @current.setter
    def current(self, name: str | None) -> None:
        self._current = name
        self._turn += 1

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled while weights are loaded; guarding against it would double the cost of each operator."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run the operator, then note what it wrote."""
        kwargs = kwargs or {}
        known = self._targets.get(func)
        if known is None:
            known = self._targets[func] = _targets(func), _is_arithmetic(func), _name(func) in WHOLE
        targets, arithmetic, whole = known
        if targets and not whole:
            self._announce(targets, args, kwargs)
        result = func(*args, **kwargs)
        for position, name in targets:
            target = args[position] if position < len(args) else kwargs.get(name)
            for at, tensor in enumerate(target if isinstance(target, list | tuple) else (target,)):
                if isinstance(tensor, torch.Tensor):
                    self._note(tensor, _source(args, at), arithmetic=arithmetic, whole=whole)
        return result

    def _announce(self, targets: tuple[tuple[int, str], ...], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Tell of parameters that nothing has filled yet, and into which an operator may write less than it says."""
        for position, name in targets:
            target = args[position] if position < len(args) else kwargs.get(name)
            for tensor in target if isinstance(target, list | tuple) else (target,):
                if isinstance(tensor, torch.Tensor) and not tensor.is_meta:
                    for parameter in self._by_storage.get(tensor.untyped_storage().data_ptr(), ()):
                        if not self.regions[parameter]:
                            self._before_a_part(parameter)

    def _note(self, target: torch.Tensor, source: torch.Tensor | None, *, arithmetic: bool, whole: bool) -> None:
        if not target.numel() or target.is_meta:
            return
        for name in self._by_storage.get(target.untyped_storage().data_ptr(), ()):
            parameter = self._parameters[name]
            if parameter.element_size() != target.element_size():
                region = self._bytes_region(target, parameter)
            else:
                offset = target.storage_offset() - parameter.storage_offset()
                region = Region(offset, tuple(target.shape), target.stride())
            if arithmetic or self._turns[name].get(region) == self._turn:
                self.reworked[name] = None
                continue
            self._turns[name][region] = self._turn
            self.regions[name].append(region)
            if source is not None or not whole:  # a constant fills, but it is nothing of the tensor on its way
                self._credit(name, target)
            if whole and source is not None and source.dtype != target.dtype:
                key = f"{_short(source.dtype)} -> {_short(target.dtype)}"
                self.converted[key] = self.converted.get(key, 0) + target.numel()

    def _credit(self, name: str, target: torch.Tensor) -> None:
        if self._current is None:
            return
        if self._current not in self.writers[name]:
            self.writers[name].append(self._current)
        self.written[self._current] = self.written.get(self._current, 0) + target.numel()

    @staticmethod
    def _bytes_region(target: torch.Tensor, parameter: torch.Tensor) -> Region:
        """A write through a view of another type, in elements of the parameter; it must be one run of bytes."""
        size = target.element_size()
        begin = target.storage_offset() * size - parameter.storage_offset() * parameter.element_size()
        count = target.numel() * size // parameter.element_size()
        return Region(begin // parameter.element_size(), (count,), (1,))

    def let_go(self) -> None:
        """Hold no parameter any more; regions and writers stay."""
        self._parameters, self._by_storage = {}, {}
        self._before_a_part = lambda name: None

    def faults(self) -> dict[str, str]:
        """Every parameter that is not filled exactly once, and why."""
        verdicts = {name: self.verdict(name) for name in self._parameters}
        return {name: verdict for name, verdict in verdicts.items() if verdict is not None}

    def verdict(self, name: str) -> str | None:
        """Why a parameter is not filled exactly once; None when it is."""
        regions, numel = self.regions[name], self._parameters[name].numel()
        if not regions:
            return "was never filled"
        shape = tuple(self._parameters[name].shape)
        if self._parameters[name].is_contiguous() and (
            _tiles([region.interval for region in regions], numel)
            or _tile([region.box(shape) for region in regions], shape)
        ):
            return None
        counts = self._counts(name)
        missing, twice = int((counts == 0).sum()), int((counts > 1).sum())
        if missing:
            return f"has {missing:,} of {numel:,} elements that no tensor filled"
        return f"has {twice:,} of {numel:,} elements that were {TWICE}" if twice else None

    def _counts(self, name: str) -> torch.Tensor:
        """How often each element of a parameter was written.

        Counted over the whole storage: a parameter may be a strided part of it, and a write may go beyond the part.
        """
        parameter = self._parameters[name]
        held = parameter.untyped_storage().nbytes() // parameter.element_size()
        counts = torch.zeros(held, dtype=torch.uint8)
        for region in self.regions[name]:
            counts.as_strided(region.sizes, region.strides, region.offset + parameter.storage_offset()).add_(1)
        return counts.as_strided(parameter.shape, parameter.stride(), parameter.storage_offset())


def _tiles(intervals: Sequence[tuple[int, int] | None], numel: int) -> bool:
    """Whether runs cover ``0..numel`` exactly once; False also when a region is no run."""
    at = 0
    for begin, end in sorted(run for run in intervals if run is not None):
        if begin != at:
            return False
        at = end
    return None not in intervals and at == numel


def _targets(func: Any) -> tuple[tuple[int, str], ...]:  # noqa: ANN401
    """Which arguments an operator writes to: place and name."""
    arguments = enumerate(func._schema.arguments)
    return tuple((at, a.name) for at, a in arguments if a.alias_info is not None and a.alias_info.is_write)


def _source(args: Sequence[Any], at: int) -> torch.Tensor | None:
    """The tensor that an operator writes from, for its target ``at`` where it has several."""
    source = args[1] if len(args) > 1 else None
    if isinstance(source, list | tuple):
        source = source[at] if at < len(source) else None
    return source if isinstance(source, torch.Tensor) else None


def _name(func: Any) -> str:  # noqa: ANN401
    name: str = func._schema.name.rpartition("::")[2]
    return name.removesuffix("_")


def _is_arithmetic(func: Any) -> bool:  # noqa: ANN401
    """Whether an operator works on what its target holds, rather than putting something there."""
    return (
        _name(func).removeprefix("_foreach_") in ARITHMETIC and func._schema.overload_name.rpartition("_")[2] != "out"
    )


def _tile(boxes: Sequence[Box | None], shape: tuple[int, ...]) -> bool:
    """Whether boxes cover a shape exactly once; False also where it would take more than a glance to tell."""
    if not shape:
        return len(boxes) == 1
    slabs: dict[tuple[int, int], list[Box | None]] = {}
    for box in boxes:
        if box is None:
            return False
        slabs.setdefault(box[0], []).append(box[1:])
    return _tiles(list(slabs), shape[0]) and all(_tile(inner, shape[1:]) for inner in slabs.values())


def _strides(shape: tuple[int, ...]) -> list[int]:
    steps = [1]
    for size in reversed(shape[1:]):
        steps.insert(0, steps[0] * size)
    return steps[: len(shape)]


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
