"""Values of small tensors, read and compared as numbers: the few looks at data that planning takes."""

from __future__ import annotations

__all__ = ["FLOATS", "differ", "numbers", "read_bytes", "read_spans"]

import struct
from collections.abc import Iterable
from typing import BinaryIO

from mixprec_runtime.hub.reading import remote_bytes, remote_spans
from mixprec_runtime.records.checkpoint import TensorHeader

FLOATS = frozenset({"F16", "BF16", "F32"})
ROUNDING = 2.0**-8  # between two floating-point types of at least BF16's seven bits
LEAST = 2.0**-24  # the smallest number of float16: what a conversion to it may leave of anything


def read_bytes(tensor: TensorHeader) -> bytes:
    """The bytes of a tensor; fewer where its file has become shorter than its header says.

    Of a shard that is still on the Hub they are asked for there. Raises BrokenSafetensors when they cannot be had.
    """
    if not tensor.file.is_file():
        return remote_bytes(tensor)
    with tensor.file.open("rb") as stream:
        stream.seek(tensor.begin)
        return stream.read(tensor.nbytes)


def read_spans(tensor: TensorHeader, spans: Iterable[tuple[int, int]]) -> list[bytes]:
    """Parts of a tensor, each from its first byte to before its last, counted from the tensor's start."""
    places = [(tensor.begin + begin, tensor.begin + end) for begin, end in spans]
    if not tensor.file.is_file():
        found = remote_spans(tensor.file, set(places))
        return [found[place] for place in places]
    with tensor.file.open("rb") as stream:
        return [_part(stream, begin, end) for begin, end in places]


def _part(stream: BinaryIO, begin: int, end: int) -> bytes:
    stream.seek(begin)
    return stream.read(end - begin)


def numbers(data: bytes, dtype: str) -> tuple[float, ...]:
    """The numbers of a plain floating-point tensor in file order."""
    if dtype == "F16":
        return struct.unpack(f"<{len(data) // 2}e", data)
    if dtype == "BF16":  # the upper half of a float32
        wide = bytearray(2 * len(data))
        wide[2::4], wide[3::4] = data[0::2], data[1::2]
        return struct.unpack(f"<{len(data) // 2}f", wide)
    return struct.unpack(f"<{len(data) // 4}f", data)


def differ(one: TensorHeader, other: TensorHeader) -> bool:
    """Whether two plain tensors hold other numbers, beyond what storing them in two types explains."""
    if one.shape != other.shape:
        return True
    first, second = read_bytes(one), read_bytes(other)
    if one.dtype == other.dtype or {one.dtype, other.dtype} - FLOATS:
        return first != second
    pairs = zip(numbers(first, one.dtype), numbers(second, other.dtype), strict=True)
    return any(not abs(a - b) <= max(ROUNDING * max(abs(a), abs(b)), LEAST) for a, b in pairs)
