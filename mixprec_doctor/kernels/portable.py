"""Portable kernels as facts: which formats, shapes and machines each of mixprec's own kernels takes, and why not.

What computes with them stands in ``mixprec_runtime.kernels``, which takes its constants from here. The demands of
PyTorch's operators are those of their own checks:

* int4 on a CPU: ``_convert_weight_to_int4pack_for_cpu`` and ``_weight_int4pack_mm_for_cpu``
  (``aten/src/ATen/native/LinearAlgebra.cpp``): outputs divisible by 16, groups of 32 to 256;
* int4 on CUDA: ``_convert_weight_to_int4pack`` and ``_weight_int4pack_mm`` (``native/cuda/int4mm.cu``): BF16, outputs
  divisible by 8, inputs by 16 times the inner tiles, capability 8.0;
* int8 on a CPU: ``_weight_int8pack_mm`` (``native/cpu/int8mm_kernel.cpp``): it checks nothing of the inputs, and reads
  past a row that no vector register divides;
* int8 by groups on a CPU: the same operator, its rows the length of a group;
* int8 on CUDA: ``_int_mm`` (``native/cuda/Blas.cpp``): inputs and outputs divisible by 8, more than 16 rows;
* FP8 on CUDA: ``_scaled_mm`` (same file): inputs and outputs divisible by 16, capability 8.9.
"""

from __future__ import annotations

__all__ = [
    "INT4_GROUPS",
    "KNOWN_VARIANTS",
    "PORTABLE",
    "Demands",
    "PortableKernel",
    "UnknownPortableKernel",
    "find_portable",
    "int4_group",
    "refusals",
]

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import gcd

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.workload import LinearShape

INT4_GROUPS: tuple[int, ...] = (256, 128, 64, 32)
"""Groups of inputs that PyTorch's int4 product knows, largest first."""


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What a kernel asks of one kind of device. ``operators`` are names below ``torch.ops.aten``."""

    operators: frozenset[str] = frozenset()
    dtypes: frozenset[str] = frozenset({"bfloat16", "float16", "float32"})  # of activations
    min_capability: int | None = None  # 89 for 8.9
    inputs_multiple: int = 1
    outputs_multiple: int = 1
    activations: frozenset[Activation] = frozenset(Activation)


@dataclass(frozen=True, kw_only=True)
class PortableKernel:
    """One of mixprec's kernels. Its name is the candidate of a verdict; ``how`` says what it does with the weights."""

    name: str
    how: str
    kinds: frozenset[FormatKind]
    demands: Mapping[str, Demands]  # by device: "cpu", "cuda", "rocm"
    bits: frozenset[int] | None = None  # None: any
    scales: frozenset[str] | None = None  # forms of scales of FP8 and INT8; None: any
    int4_groups: bool = False  # only groups that INT4_GROUPS divide
    group_multiple: int | None = None  # only groups, or widths of blocks, that are a multiple


KNOWN_VARIANTS = frozenset({None, "gptq_v2"})
"""Variants of layouts that the kernels read; others (AWQ's gemv) lie in another order."""
_ALL = frozenset(FormatKind) - {FormatKind.PLAIN}
_WHOLE_SCALES = frozenset({"tensor", "channel"})

PORTABLE: tuple[PortableKernel, ...] = (
    PortableKernel(
        name="portable int4",
        how="PyTorch's int4 product on the packed weights",
        kinds=frozenset({FormatKind.GPTQ, FormatKind.AWQ, FormatKind.PACKED}),
        bits=frozenset({4}),
        int4_groups=True,
        demands={
            "cpu": Demands(
                operators=frozenset({"_convert_weight_to_int4pack_for_cpu", "_weight_int4pack_mm_for_cpu"}),
                inputs_multiple=32,
                outputs_multiple=16,
            ),
            "cuda": Demands(
                operators=frozenset({"_convert_weight_to_int4pack", "_weight_int4pack_mm"}),
                dtypes=frozenset({"bfloat16"}),
                min_capability=80,
                inputs_multiple=32,
                outputs_multiple=8,
            ),
        },
    ),
    PortableKernel(
        name="portable int8",
        how="PyTorch's int8 product: on a CPU inputs stay as they are, on a GPU each row is rounded to 8 bits",
        kinds=frozenset({FormatKind.INT8}),
        scales=_WHOLE_SCALES,
        demands={
            "cpu": Demands(operators=frozenset({"_weight_int8pack_mm"}), inputs_multiple=32),
            "cuda": Demands(
                operators=frozenset({"_int_mm"}),
                min_capability=75,
                inputs_multiple=8,
                outputs_multiple=8,
                activations=frozenset({Activation.DYNAMIC}),
            ),
        },
    ),
    PortableKernel(
        name="portable int8 groups",
        how="PyTorch's int8 product, one for each group of inputs",
        kinds=frozenset({FormatKind.GPTQ, FormatKind.AWQ, FormatKind.PACKED, FormatKind.INT8}),
        bits=frozenset({8}),
        scales=frozenset({"block"}),
        group_multiple=32,
        demands={"cpu": Demands(operators=frozenset({"_weight_int8pack_mm"}), inputs_multiple=32)},
    ),
    PortableKernel(
        name="portable fp8",
        how="PyTorch's scaled FP8 product; rows of the input are rounded to FP8",
        kinds=frozenset({FormatKind.FP8}),
        scales=_WHOLE_SCALES,
        demands={
            "cuda": Demands(
                operators=frozenset({"_scaled_mm"}),
                min_capability=89,
                inputs_multiple=16,
                outputs_multiple=16,
                activations=frozenset({Activation.DYNAMIC, Activation.STATIC}),
            ),
        },
    ),
    PortableKernel(
        name="portable tiles",
        how="weights widened a tile of outputs at a time, in the cache, and multiplied in the type of the inputs",
        kinds=_ALL,
        demands={device: Demands() for device in ("cpu", "cuda", "rocm")},
    ),
)
"""mixprec's kernels, best first. The last one takes every format on every device."""


class UnknownPortableKernel(MixprecError):
    """A name that none of mixprec's kernels has: a setup of another release, say."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        known = ", ".join(kernel.name for kernel in PORTABLE)
        return f"no portable kernel {self.name!r}; there are: {known}\n  try: mixprec doctor --verify again"


def find_portable(name: str) -> PortableKernel:
    """The kernel of that name; raises UnknownPortableKernel."""
    for kernel in PORTABLE:
        if kernel.name == name:
            return kernel
    raise UnknownPortableKernel(name)


def int4_group(group: int | None, inputs: int) -> int | None:
    """The group that serves a checkpoint's ``group`` (None: all inputs) by repeating scales; None where none does."""
    wanted = group or inputs
    return next((known for known in INT4_GROUPS if wanted % known == 0 and inputs % known == 0), None)


def refusals(
    kernel: PortableKernel,
    format: Format,
    shape: LinearShape,
    *,
    dtype: str,
    device: str,
    capability: int | None,
    operators: Collection[str] | None,
) -> tuple[str, ...]:
    """Every reason why a kernel cannot serve a layer there; empty where it can.

    ``dtype`` is torch's name for the type of activations, ``device`` "cpu", "cuda" or "rocm", ``capability`` 90 for
    9.0, ``operators`` the names below ``torch.ops.aten`` that the installed torch has. What is None is not known, and
    refuses nothing.
    """
    reasons = _format_refusals(kernel, format, shape)
    demands = kernel.demands.get(device)
    if demands is None:
        return (*reasons, f"works on {' and '.join(kernel.demands)}, not on {device}")
    if dtype not in demands.dtypes:
        reasons.append(f"takes activations of {', '.join(sorted(demands.dtypes))}, not of {dtype}")
    if demands.min_capability is not None and capability is not None and capability < demands.min_capability:
        reasons.append(
            f"needs compute capability {_dotted(demands.min_capability)}, this GPU has {_dotted(capability)}"
        )
    if operators is not None and (missing := demands.operators - set(operators)):
        reasons.append(f"the installed torch has no {', '.join(sorted(missing))}")
    if shape.inputs % demands.inputs_multiple:
        reasons.append(f"needs inputs divisible by {demands.inputs_multiple}, this layer has {shape.inputs}")
    if shape.out % demands.outputs_multiple:
        reasons.append(f"needs outputs divisible by {demands.outputs_multiple}, this layer has {shape.out}")
    if format.activation not in demands.activations:
        reasons.append(f"rounds its inputs, which this checkpoint does not ask for ({format.activation.value})")
    return tuple(reasons)


def _format_refusals(kernel: PortableKernel, format: Format, shape: LinearShape) -> list[str]:
    if format.kind not in kernel.kinds:
        return [f"is not for {format.kind.value}"]
    reasons = []
    if kernel.bits is not None and format.bits not in kernel.bits:
        reasons.append(f"has weights of {' and '.join(map(str, sorted(kernel.bits)))} bits, not of {format.bits}")
    scaled = format.kind in (FormatKind.FP8, FormatKind.INT8)
    if kernel.scales is not None and scaled and format.scale not in kernel.scales:
        reasons.append(f"has scales per {' and '.join(sorted(kernel.scales))}, not per {format.scale}")
    if kernel.int4_groups and int4_group(format.group, shape.inputs) is None:
        known = ", ".join(map(str, sorted(INT4_GROUPS)))
        reasons.append(f"has groups of {known} inputs and multiples, not of {format.group or shape.inputs}")
    if kernel.group_multiple is not None:
        group = gcd(format.block[1], shape.inputs) if format.block and format.scale == "block" else format.group
        group = group or shape.inputs
        if group % kernel.group_multiple:
            reasons.append(f"has groups of a multiple of {kernel.group_multiple} inputs, not of {group}")
    sorts = kernel.int4_groups or kernel.group_multiple is not None
    if sorts and format.act_order and shape.inputs != shape.full_inputs:
        reasons.append("cannot sort the inputs of an act-order layer of which this rank has only a part")
    reasons += _cut_units(format, shape)
    if format.variant not in KNOWN_VARIANTS:
        reasons.append(f"does not know the variant {format.variant} of {format.kind.value}")
    return reasons


def _cut_units(format: Format, shape: LinearShape) -> list[str]:
    """Scales that two ranks would share: neither could load its part of them."""
    group = format.block[1] if format.block else format.group
    reasons = []
    if shape.inputs != shape.full_inputs and not format.act_order and group and shape.inputs % group:
        reasons.append(f"cannot hold {shape.inputs} inputs of a rank where {group} share a scale")
    if format.block and shape.outputs != shape.full_outputs:
        cut = [out for out in shape.outputs if out % format.block[0]]
        reasons += [f"cannot hold {out} outputs of a rank where {format.block[0]} share a scale" for out in cut]
    return reasons


def _dotted(capability: int) -> str:
    return f"{capability // 10}.{capability % 10}"
