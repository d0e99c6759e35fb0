"""The header of a safetensors file.

Format (safetensors README, "Format"): 8 bytes little-endian header length N, N bytes of JSON that map each
tensor name to ``{"dtype", "shape", "data_offsets": [begin, end]}`` with offsets counted from the end of the
header, then the data, without holes. The safetensors library gives names, types and shapes but no offsets,
and needs a tensor framework; planning needs the offsets and has no framework.
"""

from __future__ import annotations

__all__ = ["MAX_HEADER", "read_header"]

import io
import json
import stat
import struct
from pathlib import Path
from typing import BinaryIO

from mixprec_runtime.checkpoint.errors import BrokenSafetensors
from mixprec_runtime.hub.kept import shard_of
from mixprec_runtime.records.checkpoint import DTYPE_BITS, TensorHeader

MAX_HEADER = 100_000_000
"""Longest header that is read, in bytes; the limit of the safetensors library itself."""
LARGEST = 2**63 - 1
SHOWN = 200  # characters of a bad entry that a message repeats


def read_header(file: Path) -> dict[str, TensorHeader]:
    """Tensors of one file, in the order of their bytes; of a shard that is still on the Hub from its kept header.

    Raises BrokenSafetensors when the file is shorter than its header says, or the header is no valid one.
    """
    if (kept := shard_of(file)) is not None and not file.is_file():
        return _parse(file, io.BytesIO(kept.head), size=kept.size)
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # opening a named pipe would wait for its writer
            raise BrokenSafetensors(file, "cannot be read: it is no regular file", "copy the file itself there")
        with file.open("rb") as stream:
            return _parse(file, stream, size=file.stat().st_size)
    except OSError as fault:
        raise BrokenSafetensors(file, f"cannot be read: {fault.strerror or fault}") from fault


def _parse(file: Path, stream: BinaryIO, *, size: int) -> dict[str, TensorHeader]:
    head = stream.read(8)
    if len(head) < 8:
        raise BrokenSafetensors(file, f"has {len(head)} bytes; a safetensors file starts with 8 bytes of length")
    (length,) = struct.unpack("<Q", head)
    if length > MAX_HEADER:
        raise BrokenSafetensors(file, f"states a header of {length} bytes; this is no safetensors file")
    if 8 + length > size:
        raise BrokenSafetensors(file, f"is cut off: the header needs {8 + length} bytes, the file has {size}")
    try:
        raw = json.loads(stream.read(length))
    except (ValueError, RecursionError) as fault:
        raise BrokenSafetensors(file, f"has a header that is no JSON: {fault}") from fault
    if not isinstance(raw, dict):
        raise BrokenSafetensors(file, "has a header that is no JSON object")
    start = 8 + length
    tensors = [_tensor(file, name, entry, start) for name, entry in raw.items() if name != "__metadata__"]
    tensors.sort(key=lambda tensor: (tensor.begin, tensor.end))
    _check_layout(file, tensors, start=start, size=size)
    return {tensor.name: tensor for tensor in tensors}


def _tensor(file: Path, name: str, entry: object, start: int) -> TensorHeader:
    if not name.isprintable():  # it is shown on terminals, and a lone surrogate cannot be written at all
        raise BrokenSafetensors(file, f"has a tensor whose name is no plain text: {name!a}")
    if not isinstance(entry, dict):
        raise BrokenSafetensors(file, f"describes tensor {name!r} by {type(entry).__name__}, not by an object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise BrokenSafetensors(file, f"gives tensor {name!r} the unknown type {_short(dtype)}")
    if not isinstance(shape, list) or not all(_is_count(extent) for extent in shape):
        raise BrokenSafetensors(file, f"gives tensor {name!r} the shape {_short(shape)}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_count(offset) for offset in offsets):
        raise BrokenSafetensors(file, f"gives tensor {name!r} the offsets {_short(offsets)}")
    begin, end = offsets
    elements = _elements(shape)
    wanted = None if elements is None else (elements * DTYPE_BITS[dtype] + 7) // 8
    if end - begin != wanted:
        needed = "more than any file has" if wanted is None else wanted
        raise BrokenSafetensors(
            file, f"gives tensor {name!r} {end - begin} bytes; {dtype} {_short(shape)} needs {needed}"
        )
    return TensorHeader(name=name, dtype=dtype, shape=tuple(shape), file=file, begin=start + begin, end=start + end)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _elements(shape: list[int]) -> int | None:
    """Elements of a shape; None for more than a file can hold, found without multiplying numbers of any length."""
    if 0 in shape:
        return 0
    count = 1
    for extent in shape:
        count *= extent
        if count > LARGEST:
            return None
    return count


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _check_layout(file: Path, tensors: list[TensorHeader], *, start: int, size: int) -> None:
    at = start
    for tensor in tensors:
        if tensor.begin != at:
            fault = "overlaps the tensor before it" if tensor.begin < at else "leaves a hole before it"
            raise BrokenSafetensors(file, f"has a tensor that {fault}: {tensor.name!r}")
        at = tensor.end
    if at > size:
        raise BrokenSafetensors(
            file, f"is cut off: its tensors need {at} bytes, the file has {size} (copied or downloaded in part?)"
        )
    if at < size:
        raise BrokenSafetensors(file, f"has {size - at} bytes after its last tensor")
