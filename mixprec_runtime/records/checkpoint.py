"""What a checkpoint folder holds, as read from its headers alone."""

from __future__ import annotations

__all__ = ["DTYPE_BITS", "Checkpoint", "TensorHeader"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

DTYPE_BITS: dict[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""Bits per element of each safetensors type (safetensors, ``Dtype`` in tensor.rs)."""


@dataclass(frozen=True, kw_only=True)
class TensorHeader:
    """One tensor of a safetensors file: ``file[begin:end]`` are its bytes (offsets from the file's start)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        """Size on disk."""
        return self.end - self.begin


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A folder with a config and safetensors files; ``tensors`` are keyed by name."""

    path: Path
    config: Mapping[str, object]
    quantization: Mapping[str, object] | None
    tensors: Mapping[str, TensorHeader]

    def of_module(self, module: str) -> dict[str, TensorHeader]:
        """The tensors that belong to a module itself, keyed by suffix (``weight``, ``qweight`` ...)."""
        return self._by_module.get(module, {})

    @cached_property
    def _by_module(self) -> dict[str, dict[str, TensorHeader]]:
        modules: dict[str, dict[str, TensorHeader]] = {}
        for name, header in self.tensors.items():
            module, _, suffix = name.rpartition(".")
            modules.setdefault(module, {})[suffix] = header
        return modules

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules that own tensors, in the order in which the files name them."""
        return tuple(self._by_module)
