"""Products compiled for this machine's own processor, where it has a C compiler: for few rows, as answers are made.

PyTorch's products of a CPU take one row at a fraction of what memory gives. ``products.c`` widens weights in registers
and reads each byte of them once. Who has no compiler, or sets ``MIXPREC_COMPILE=0``, gets PyTorch's.

Layouts: 4-bit codes as eight words for 64 inputs, bits 4s to 4s+3 of word j being input 8s+j; scales in 16 bits, zero
points in a byte, for each output and group. INT8 and FP8 codes as they are stored, a float32 scale per output.
"""

from __future__ import annotations

__all__ = ["BYTES", "INT4", "Product", "prepare", "product"]

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

import torch

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.kernels.building import products
from mixprec_runtime.kernels.weights import GroupedWeight, grouped_weight

State = dict[str, "torch.Tensor | int"]
Product = Callable[[torch.Tensor], torch.Tensor]
INT4, BYTES = "compiled int4", "compiled bytes"
OUTPUTS, CHUNK = 4, 64  # outputs that are computed together, inputs in eight words
WORTH_SHARING = 1 << 17  # products from which a second core is of use
FOUR_BITS = frozenset({FormatKind.GPTQ, FormatKind.AWQ, FormatKind.PACKED})
WHOLE = frozenset({FormatKind.INT8, FormatKind.FP8})
TYPES = {torch.float32: 0, torch.bfloat16: 1}  # of inputs that need no conversion
HALVES = frozenset({torch.float16, torch.bfloat16})


def prepare(format: Format, tensors: Mapping[str, torch.Tensor], widths: Sequence[int]) -> tuple[str, State] | None:
    """The name and state of a product for a layer's tensors; None where there is none for them, or no compiler.

    Raises UnpreparableWeight for tensors that do not fit each other.
    """
    four, whole = format.kind in FOUR_BITS and format.bits == 4, format.kind in WHOLE and format.scale != "block"
    out = sum(widths)
    if not (four or whole) or out % OUTPUTS or any(tensor.device.type != "cpu" for tensor in tensors.values()):
        return None
    if products() is None:
        return None
    weight = grouped_weight(INT4 if four else BYTES, format, tensors, widths)
    state = _four_bits(weight) if four else _whole(weight)
    return None if state is None else (INT4 if four else BYTES, state)


def _four_bits(weight: GroupedWeight) -> State | None:
    fits = weight.group == CHUNK // 2 or weight.group % CHUNK == 0
    if weight.index is not None or weight.inputs % CHUNK or not fits or weight.scales.dtype not in HALVES:
        return None
    out = weight.codes.shape[0]
    codes = weight.codes.view(out, weight.inputs // CHUNK, 8, 8)
    words = torch.zeros(out, weight.inputs // CHUNK, 8, dtype=torch.int32)
    for place in range(8):
        words |= codes[:, :, place].to(torch.int32) << (4 * place)
    state: State = {"words": words.view(out, -1), "scales": weight.scales.contiguous(), "zero": weight.zero}
    if weight.zeros is not None:
        state["zeros"] = weight.zeros.to(torch.uint8).contiguous()
    if weight.order is not None:
        state["order"] = weight.order.to(torch.int32)
    return state


def _whole(weight: GroupedWeight) -> State | None:
    kinds = {torch.int8: 0, torch.float8_e4m3fn: 1}
    if weight.zeros is not None or weight.scales.shape[1] != 1 or weight.inputs % 8 or weight.codes.dtype not in kinds:
        return None
    return {
        "codes": weight.codes.contiguous(),
        "scales": weight.scales[:, 0].to(torch.float32).contiguous(),
        "kind": kinds[weight.codes.dtype],
    }


def product(name: str, state: Mapping[str, torch.Tensor | int]) -> Product:
    """A function that gives ``x @ weight.T`` for x ``[rows, in]``, computed in float32, in the type of x.

    It knows where the state lies: make another when that was moved.
    """
    library = products()
    assert library is not None  # noqa: S101  prepare has seen it
    scales, order = cast("torch.Tensor", state["scales"]), state.get("order")
    outputs = scales.shape[0]
    if name == INT4:
        inputs = cast("torch.Tensor", state["words"]).shape[1] * 8
        call = partial(
            library.mixprec_int4, _at(state["words"]), _at(scales), _at(state.get("zeros")), state["zero"],
            int(scales.dtype is torch.float16),
        )  # fmt: skip
        last: tuple[int, ...] = (inputs, outputs, inputs // scales.shape[1])
    else:
        codes = cast("torch.Tensor", state["codes"])
        inputs = codes.shape[1]
        call = partial(library.mixprec_bytes, state["kind"], _at(codes), _at(scales))
        last = (inputs, outputs)
    empty, dtypes, threads_of = torch.empty, TYPES, torch.get_num_threads

    def multiply(x: torch.Tensor) -> torch.Tensor:
        if isinstance(order, torch.Tensor):
            x = x.index_select(-1, order)
        rows, dtype = x.shape[0], x.dtype
        kind = dtypes.get(dtype)
        if kind is None:
            return multiply_wide(x).to(dtype)
        x = x.contiguous()
        found = empty(rows, outputs, dtype=dtype)
        threads = threads_of() if rows * outputs * inputs >= WORTH_SHARING else 1
        if call(x.data_ptr(), found.data_ptr(), kind, rows, *last, threads):
            raise MemoryError(f"no memory for {rows} rows of {inputs} inputs")
        return found

    def multiply_wide(x: torch.Tensor) -> torch.Tensor:
        wide, found = x.to(torch.float32).contiguous(), empty(x.shape[0], outputs)
        if call(wide.data_ptr(), found.data_ptr(), 0, x.shape[0], *last, threads_of()):
            raise MemoryError(f"no memory for {x.shape[0]} rows of {inputs} inputs")
        return found

    return multiply


def _at(tensor: torch.Tensor | int | None) -> int | None:
    return tensor.data_ptr() if isinstance(tensor, torch.Tensor) else None
