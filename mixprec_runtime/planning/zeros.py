"""Whether a small tensor is nothing but zeros: the one look at data that planning takes."""

from __future__ import annotations

__all__ = ["all_zero"]

from mixprec_runtime.checkpoint.values import read_bytes
from mixprec_runtime.records.checkpoint import TensorHeader

CHUNK = 1 << 20


def all_zero(tensor: TensorHeader) -> bool:
    """Whether every byte of the tensor is zero."""
    if not tensor.file.is_file():  # still on the Hub
        return not read_bytes(tensor).strip(b"\x00")
    with tensor.file.open("rb") as stream:
        stream.seek(tensor.begin)
        left = tensor.nbytes
        while left:
            chunk = stream.read(min(CHUNK, left))
            if not chunk or chunk.strip(b"\x00"):
                return False
            left -= len(chunk)
    return True
