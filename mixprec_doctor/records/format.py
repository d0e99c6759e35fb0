"""Format: how the weight of one linear module lies in a checkpoint."""

from __future__ import annotations

__all__ = ["Activation", "Format", "FormatKind"]

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class FormatKind(str, Enum):
    """Families of layouts that are told apart."""

    PLAIN = "plain"  # weight [out, in] in a floating-point type
    FP8 = "fp8"  # weight [out, in] float8 with a scale per tensor, channel or block
    INT8 = "int8"  # weight [out, in] int8 with a scale per tensor, channel or block (W8A8)
    GPTQ = "gptq"  # qweight [in*bits/32, out] int32
    AWQ = "awq"  # qweight [in, out*bits/32] int32
    PACKED = "packed"  # compressed-tensors pack-quantized: weight_packed [out, in*bits/32] int32
    NVFP4 = "nvfp4"  # packed float4 e2m1 [out, in/2] uint8, a float8 scale per 16 inputs, one float32 scale
    MXFP4 = "mxfp4"  # packed float4 e2m1 [out, in/2] uint8, an e8m0 scale per 32 inputs


class Activation(str, Enum):
    """What a checkpoint asks of the inputs of a layer."""

    NONE = "none"  # inputs stay in floating point
    DYNAMIC = "dynamic"  # rounded to the weight's type, scales from the inputs themselves
    STATIC = "static"  # ... with a scale that the checkpoint holds (input_scale)


@dataclass(frozen=True, kw_only=True)
class Format:
    """One weight format. ``group`` counts input features per scale; None: no groups."""

    kind: FormatKind
    bits: int
    group: int | None = None
    scale: str | None = None  # "tensor", "channel" or "block" for FP8 and INT8
    dtype: str | None = None  # safetensors name of the weight's type where it is stored plainly
    block: tuple[int, int] | None = None  # outputs and inputs that share a scale, for scale "block"
    symmetric: bool | None = None  # no zero points; None where the layout has none to have
    act_order: bool = False  # groups of inputs in another order than theirs (g_idx says which)
    activation: Activation = Activation.NONE
    variant: str | None = None  # of a layout that tensors don't tell apart: "gptq_v2", "gemv"; None: the usual one

    @property
    def name(self) -> str:
        """A short name for tables: ``bf16``, ``gptq-int4-g64``, ``fp8-channel`` ..."""
        if self.kind is FormatKind.PLAIN:
            return (self.dtype or "?").lower()
        kind: str = self.kind.value
        if self.kind in (FormatKind.FP8, FormatKind.INT8):
            return f"{kind}-{self.scale}" if self.scale else kind
        if self.kind in (FormatKind.NVFP4, FormatKind.MXFP4):
            return kind
        group = f"-g{self.group}" if self.group else ""
        return f"{kind}-int{self.bits}{group}"

    @property
    def details(self) -> str:
        """What the name leaves out: ``asymmetric, act-order, static activations``; empty where there is nothing."""
        words = [
            f"blocks of {self.block[0]}x{self.block[1]}" if self.block else "",
            self.variant or "",
            "asymmetric" if self.symmetric is False else "",
            "act-order" if self.act_order else "",
            f"{self.activation.value} activations" if self.activation is not Activation.NONE else "",
        ]
        return ", ".join(word for word in words if word)

    def to_json(self) -> dict[str, object]:
        """The object of ``mixprec.report/1`` and ``mixprec.setup/1`` documents."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "bits": self.bits,
            "group": self.group,
            "scale": self.scale,
            "dtype": self.dtype,
            "block": list(self.block) if self.block else None,
            "symmetric": self.symmetric,
            "act_order": self.act_order,
            "activation": self.activation.value,
            "variant": self.variant,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Format:
        """The record that ``to_json`` wrote."""
        return cls(
            kind=FormatKind(raw["kind"]),
            bits=raw["bits"],
            group=raw["group"],
            scale=raw["scale"],
            dtype=raw["dtype"],
            block=tuple(raw["block"]) if raw["block"] else None,
            symmetric=raw["symmetric"],
            act_order=raw["act_order"],
            activation=Activation(raw["activation"]),
            variant=raw["variant"],
        )
