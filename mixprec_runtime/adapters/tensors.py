"""Planned tensors read from safetensors files, one by one, mapped rather than copied."""

from __future__ import annotations

__all__ = ["TensorMismatch", "group_order_is_trivial", "read_tensors"]

import mmap
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from math import prod
from operator import attrgetter
from pathlib import Path

import torch
from safetensors import safe_open

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.checkpoint.header import read_header
from mixprec_runtime.loading.readahead import ReadAhead, Span
from mixprec_runtime.records.checkpoint import TensorHeader
from mixprec_runtime.runfolder import RunTensor

_NAMES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "I32": "int32", "U32": "uint32",
    "I64": "int64", "U64": "uint64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip
_DTYPES = {stored: getattr(torch, name) for stored, name in _NAMES.items() if hasattr(torch, name)}
"""Types of which one element is a whole number of bytes; the safetensors library reads the others."""


class TensorMismatch(MixprecError):
    """A tensor that is not what the plan says, in type, shape or presence."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, tensor: str, file: str, fault: str) -> None:
        super().__init__(tensor, file, fault)
        self.tensor = tensor
        self.file = file
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.tensor} in {self.file}: {self.fault}"


def read_tensors(planned: Iterable[RunTensor]) -> Iterator[tuple[RunTensor, torch.Tensor]]:
    """Planned tensors, file by file in the order of their bytes; no byte of another tensor is read.

    A tensor is the file's memory: what is written to it changes no file. Raises TensorMismatch before the first one
    comes when a file holds another tensor than planned, and BrokenSafetensors for a broken file.
    """
    found = [
        (tensor, header)
        for file, members in groupby(sorted(planned, key=attrgetter("file")), key=attrgetter("file"))
        for tensor, header in _in_order(file, list(members))
    ]
    with ReadAhead(_span(header) for _, header in found) as ahead:
        for file, pairs in groupby(found, key=lambda pair: pair[0].file):
            with Path(file).open("rb") as stream:
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
            for tensor, header in pairs:
                ahead.reach(header.nbytes)
                yield tensor, _read(mapped, header)
                ahead.used(header.nbytes)


def _in_order(file: str, members: list[RunTensor]) -> list[tuple[RunTensor, TensorHeader]]:
    headers: Mapping[str, TensorHeader] = read_header(Path(file))
    for tensor in members:
        if tensor.name not in headers:
            raise TensorMismatch(tensor.name, file, "is missing, though it was planned")
        found = headers[tensor.name]
        if (found.dtype, found.shape) != (tensor.dtype, tensor.shape):
            planned_words = f"planned {tensor.dtype}{list(tensor.shape)}"
            raise TensorMismatch(tensor.name, file, f"{planned_words}, found {found.dtype}{list(found.shape)}")
    return sorted(((t, headers[t.name]) for t in members), key=lambda pair: pair[1].begin)


def _span(header: TensorHeader) -> Span:
    return Span(file=header.file, begin=header.begin, end=header.end)


def _read(mapped: mmap.mmap, header: TensorHeader) -> torch.Tensor:
    dtype = _DTYPES.get(header.dtype)
    if dtype is None:
        with safe_open(str(header.file), framework="pt", device="cpu") as stream:
            other: torch.Tensor = stream.get_tensor(header.name)
        return other
    if not prod(header.shape):
        return torch.empty(header.shape, dtype=dtype)
    if header.begin % dtype.itemsize:  # the format aligns no tensor but the first
        row = torch.frombuffer(mapped, dtype=torch.uint8, count=header.nbytes, offset=header.begin).clone().view(dtype)
    else:
        row = torch.frombuffer(mapped, dtype=dtype, count=prod(header.shape), offset=header.begin)
    return row.reshape(header.shape)


def group_order_is_trivial(g_idx: torch.Tensor) -> bool:
    """Whether GPTQ's ``g_idx`` [in] merely counts groups of equal size up, so that leaving it out loses nothing."""
    inputs = g_idx.numel()
    groups = int(g_idx.max()) + 1 if inputs else 0
    if not groups or inputs % groups:
        return False
    expected = torch.arange(inputs, dtype=torch.int64) // (inputs // groups)
    return bool(torch.equal(g_idx.to(torch.int64).cpu(), expected))
