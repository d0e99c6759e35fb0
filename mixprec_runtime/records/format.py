"""Format: how the weight of one linear module lies in a checkpoint."""

from __future__ import annotations

__all__ = ["Format", "FormatKind"]

from dataclasses import dataclass
from enum import Enum


class FormatKind(str, Enum):
    """Families of layouts that the planner tells apart."""

    PLAIN = "plain"  # weight [out, in] in a floating-point type
    FP8 = "fp8"  # weight [out, in] float8 with a scale per tensor, channel or block
    INT8 = "int8"  # weight [out, in] int8 with a scale per tensor or channel (W8A8)
    GPTQ = "gptq"  # qweight [in*bits/32, out] int32
    AWQ = "awq"  # qweight [in, out*bits/32] int32
    PACKED = "packed"  # compressed-tensors pack-quantized: weight_packed [out, in*bits/32] int32


@dataclass(frozen=True, kw_only=True)
class Format:
    """One weight format. ``group`` counts input features per scale; None: no groups."""

    kind: FormatKind
    bits: int
    group: int | None = None
    scale: str | None = None  # "tensor", "channel" or "block" for FP8 and INT8
    dtype: str | None = None  # safetensors name of the weight's type where it is stored plainly

    @property
    def name(self) -> str:
        """A short name for tables: ``bf16``, ``gptq-int4-g64``, ``fp8-channel`` ..."""
        if self.kind is FormatKind.PLAIN:
            return (self.dtype or "?").lower()
        if self.kind in (FormatKind.FP8, FormatKind.INT8):
            return f"{self.kind.value}-{self.scale}" if self.scale else self.kind.value
        group = f"-g{self.group}" if self.group else ""
        return f"{self.kind.value}-int{self.bits}{group}"
