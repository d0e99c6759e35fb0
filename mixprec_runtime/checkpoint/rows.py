"""Single outputs of quantized weights as numbers, without a tensor library: for the few that planning looks at."""

from __future__ import annotations

__all__ = ["read_row"]

from collections.abc import Callable, Mapping
from functools import cache

from mixprec_doctor.records.format import Format, FormatKind
from mixprec_runtime.checkpoint.values import FLOATS, numbers, read_spans
from mixprec_runtime.records.checkpoint import DTYPE_BITS, TensorHeader

Tensors = Mapping[str, TensorHeader]
AWQ_PLACES = (0, 4, 1, 5, 2, 6, 3, 7)  # of the codes in a word (AutoAWQ, packing_utils.py)


def read_row(form: Format, shape: tuple[int, ...], tensors: Tensors, row: int) -> tuple[float, ...] | None:
    """The weights of one output, dequantized; None for a layout that is not read here.

    GPTQ and AWQ are read in 4 bits, zero points as AutoGPTQ writes them, and only where they are on this machine: a
    row of theirs is a column of the file.
    """
    reader = _READERS.get(form.kind)
    return reader(form, shape, tensors, row) if reader is not None else None


def _span(tensor: TensorHeader, first: int, count: int) -> bytes:
    """So many elements of a tensor, in file order."""
    size = DTYPE_BITS[tensor.dtype] // 8
    return read_spans(tensor, [(first * size, (first + count) * size)])[0]


def _column(tensor: TensorHeader, column: int) -> list[int]:
    """One column of a matrix of 32-bit words."""
    rows, columns = tensor.shape
    words = memoryview(_span(tensor, 0, rows * columns)).cast("I")
    return list(words[column::columns])


def _numbers(tensor: TensorHeader, first: int, count: int) -> tuple[float, ...]:
    return numbers(_span(tensor, first, count), tensor.dtype)


def _whole(form: Format, shape: tuple[int, ...], tensors: Tensors, row: int) -> tuple[float, ...] | None:
    weight, inputs = tensors["weight"], shape[1]
    scale = tensors.get("weight_scale") or tensors.get("weight_scale_inv")
    if weight.dtype in FLOATS:
        return _numbers(weight, row * inputs, inputs)
    codes = _span(weight, row * inputs, inputs)
    if weight.dtype == "I8":
        values = tuple(float(code - 256 if code > 127 else code) for code in codes)
    elif weight.dtype == "F8_E4M3":
        values = tuple(_e4m3()[code] for code in codes)
    else:
        return None
    if scale is None:
        return values
    if scale.dtype not in FLOATS or form.symmetric is False:
        return None
    if form.scale == "block" and form.block is not None:
        wide = scale.shape[1]
        scales = _numbers(scale, row // form.block[0] * wide, wide)
        return tuple(value * scales[at // form.block[1]] for at, value in enumerate(values))
    (factor,) = _numbers(scale, row if form.scale == "channel" else 0, 1)
    return tuple(value * factor for value in values)


def _gptq(form: Format, shape: tuple[int, ...], tensors: Tensors, row: int) -> tuple[float, ...] | None:
    if form.bits != 4 or form.variant is not None or form.act_order or not tensors["qweight"].file.is_file():
        return None
    codes = [(word >> 4 * place) & 15 for word in _column(tensors["qweight"], row) for place in range(8)]
    scales, zeros = _scales(tensors["scales"], row), _column(tensors["qzeros"], row // 8)
    shift = [8 if form.symmetric else ((zero >> 4 * (row % 8)) & 15) + 1 for zero in zeros]
    group = shape[1] // len(scales)
    return tuple((code - shift[at // group]) * scales[at // group] for at, code in enumerate(codes))


def _awq(form: Format, shape: tuple[int, ...], tensors: Tensors, row: int) -> tuple[float, ...] | None:
    if form.bits != 4 or form.variant is not None or not tensors["qweight"].file.is_file():
        return None
    place = 4 * AWQ_PLACES[row % 8]
    codes, zeros = (
        [(word >> place) & 15 for word in _column(tensors[name], row // 8)] for name in ("qweight", "qzeros")
    )
    scales = _scales(tensors["scales"], row)
    group = shape[1] // len(scales)
    return tuple((code - zeros[at // group]) * scales[at // group] for at, code in enumerate(codes))


def _packed(form: Format, shape: tuple[int, ...], tensors: Tensors, row: int) -> tuple[float, ...] | None:
    if form.bits not in (4, 8) or form.act_order:
        return None
    packed, per = tensors["weight_packed"], 32 // form.bits
    words = memoryview(_span(packed, row * packed.shape[1], packed.shape[1])).cast("I")
    top, middle = (1 << form.bits) - 1, 1 << (form.bits - 1)
    codes = [(word >> form.bits * place) & top for word in words for place in range(per)]
    groups = tensors["weight_scale"].shape[1]
    scales, zeros = _numbers(tensors["weight_scale"], row * groups, groups), [middle] * groups
    if form.symmetric is False:  # zero points lie packed along the outputs
        points = _span(tensors["weight_zero_point"], row // per * groups, groups)
        zeros = [(word >> form.bits * (row % per)) & top for word in memoryview(points).cast("I")]
    of = [at * groups // shape[1] for at in range(shape[1])]
    return tuple((code - zeros[group]) * scales[group] for code, group in zip(codes, of, strict=False))


def _scales(tensor: TensorHeader, column: int) -> list[float]:
    groups, out = tensor.shape
    size = DTYPE_BITS[tensor.dtype] // 8
    places = [((group * out + column) * size, (group * out + column + 1) * size) for group in range(groups)]
    return [numbers(data, tensor.dtype)[0] for data in read_spans(tensor, places)]


@cache
def _e4m3() -> tuple[float, ...]:
    """All numbers of float8_e4m3fn: sign, four bits of exponent, three of mantissa."""
    positive = [
        (mantissa / 8) * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
        for exponent in range(16)
        for mantissa in range(8)
    ]
    positive[127] = float("nan")
    return (*positive, *(-value for value in positive))


_READERS: Mapping[FormatKind, Callable[[Format, tuple[int, ...], Tensors, int], tuple[float, ...] | None]] = {
    FormatKind.PLAIN: _whole,
    FormatKind.FP8: _whole,
    FormatKind.INT8: _whole,
    FormatKind.GPTQ: _gptq,
    FormatKind.AWQ: _awq,
    FormatKind.PACKED: _packed,
}
