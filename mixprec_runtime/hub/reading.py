"""Small tensors of shards that are still on the Hub, read by range: the few looks at data that planning takes."""

from __future__ import annotations

__all__ = ["remote_bytes", "remote_spans"]

from collections.abc import Iterable
from pathlib import Path

from mixprec_runtime.checkpoint.errors import BrokenSafetensors
from mixprec_runtime.checkpoint.header import read_header
from mixprec_runtime.hub.kept import origin_of
from mixprec_runtime.hub.ranges import fetch_ranges
from mixprec_runtime.hub.snapshot import is_offline
from mixprec_runtime.hub.words import hub_fault
from mixprec_runtime.records.checkpoint import TensorHeader

SMALL = 1 << 18


def remote_bytes(tensor: TensorHeader) -> bytes:
    """The bytes of a tensor whose file is not here.

    Its like (norms, orders of groups) will be asked for next, one for each layer: those of the same shard come along,
    several at a time, and are kept. Raises BrokenSafetensors when they cannot be had.
    """
    span = (tensor.begin, tensor.end)
    like = {span} if is_offline() else {span, *(s for s in _like(tensor))}
    return remote_spans(tensor.file, like)[span]


def remote_spans(file: Path, spans: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Bytes ``[begin, end)`` of a file that is not here, several at a time; they are kept.

    Raises BrokenSafetensors when they cannot be had.
    """
    origin = origin_of(file.parent)
    if origin is None:
        raise BrokenSafetensors(file, "is not here any more", "fetch the folder again")
    try:
        return fetch_ranges(origin, file, sorted(spans))
    except Exception as fault:  # the library raises a dozen kinds
        words = hub_fault(origin.repository, fault)
        raise BrokenSafetensors(file, f"is on the Hub, which gave no part of it: {words}") from fault


def _like(tensor: TensorHeader) -> list[tuple[int, int]]:
    suffix = tensor.name.rpartition(".")[2]
    headers = read_header(tensor.file).values()
    alike = (h for h in headers if h.name.rpartition(".")[2] == suffix and len(h.shape) < 2)
    return [(header.begin, header.end) for header in alike if 0 < header.nbytes <= SMALL]
