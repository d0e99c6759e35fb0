"""Planned tensors read from safetensors files, one by one, mapped rather than copied."""

from __future__ import annotations

__all__ = ["TensorMismatch", "group_order_is_trivial", "read_tensors"]

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

import torch
from safetensors import safe_open

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.runfolder import RunTensor


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


def read_tensors(planned: tuple[RunTensor, ...]) -> Iterator[tuple[RunTensor, torch.Tensor]]:
    """Planned tensors, file by file in the order of the plan; no byte of another tensor is read.

    Raises TensorMismatch when a file holds another tensor than planned.
    """
    for file, members in groupby(sorted(planned, key=attrgetter("file")), key=attrgetter("file")):
        with safe_open(file, framework="pt", device="cpu") as stream:
            names = set(stream.keys())
            for tensor in members:
                if tensor.name not in names:
                    raise TensorMismatch(tensor.name, file, "is missing, though it was planned")
                header = stream.get_slice(tensor.name)
                found = (header.get_dtype(), tuple(header.get_shape()))
                if found != (tensor.dtype, tensor.shape):
                    planned_words = f"planned {tensor.dtype}{list(tensor.shape)}"
                    raise TensorMismatch(tensor.name, file, f"{planned_words}, found {found[0]}{list(found[1])}")
                yield tensor, stream.get_tensor(tensor.name)


def group_order_is_trivial(g_idx: torch.Tensor) -> bool:
    """Whether GPTQ's ``g_idx`` [in] merely counts groups of equal size up, so that leaving it out loses nothing."""
    inputs = g_idx.numel()
    groups = int(g_idx.max()) + 1 if inputs else 0
    if not groups or inputs % groups:
        return False
    expected = torch.arange(inputs, dtype=torch.int64) // (inputs // groups)
    return bool(torch.equal(g_idx.to(torch.int64).cpu(), expected))
