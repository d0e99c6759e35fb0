"""Drawn formats and layers for tests of kernels, and the error that the arithmetic of a type allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.workload import LinearShape
from mixprec_runtime.kernels.weights import grouped_weight
from mixprec_runtime.packing.fusing import fused_layer
from mixprec_runtime.packing.generated import generated_layer
from mixprec_runtime.reference.dequantize import dequantize

UNITS = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11, torch.float32: 2.0**-24}
"""Unit roundoff: half the distance of one from the next number."""


@dataclass(frozen=True)
class Layer:
    """A generated layer in both layouts, and the float32 weight that it means."""

    format: Format
    widths: tuple[int, ...]
    inputs: int
    fused: dict[str, torch.Tensor]
    weight: torch.Tensor

    @property
    def shape(self) -> LinearShape:
        return LinearShape(
            inputs=self.inputs, outputs=self.widths, full_inputs=self.inputs, full_outputs=self.widths
        )  # fmt: skip


def make_layer(form: Format, widths: tuple[int, ...], inputs: int, seed: int = 0) -> Layer:
    parts = generated_layer(form, widths, inputs, seed=seed)
    weight = torch.cat([dequantize(form, part) for part in parts])
    return Layer(format=form, widths=widths, inputs=inputs, fused=fused_layer(parts), weight=weight)


words = st.builds(
    Format,
    kind=st.sampled_from([FormatKind.GPTQ, FormatKind.PACKED]),
    bits=st.sampled_from([4, 8]),
    group=st.sampled_from([None, 8, 32, 48, 64, 128, 256, 512]),
    symmetric=st.booleans(),
    act_order=st.booleans(),
).filter(lambda form: form.group is not None or not form.act_order)
awq = st.builds(
    Format, kind=st.just(FormatKind.AWQ), bits=st.sampled_from([4, 8]), group=st.sampled_from([32, 64, 96, 128]),
    symmetric=st.just(False),
)  # fmt: skip
whole = st.builds(
    Format,
    kind=st.sampled_from([FormatKind.FP8, FormatKind.INT8]),
    bits=st.just(8),
    scale=st.sampled_from(["tensor", "channel", "block"]),
    block=st.sampled_from([(128, 128), (32, 64), (1, 16)]),
    activation=st.sampled_from(Activation),
)
float4 = st.sampled_from([
    Format(kind=FormatKind.NVFP4, bits=4, group=16), Format(kind=FormatKind.MXFP4, bits=4, group=32),
])  # fmt: skip
formats = words | words | awq | whole | float4


@st.composite
def layers(draw: Any) -> Layer:
    """Layers of every format; sizes that nothing divides where the layout has such."""
    form = draw(formats)
    parts = draw(st.integers(1, 3))
    if form.kind in (FormatKind.FP8, FormatKind.INT8):
        inputs, step = draw(st.integers(1, 300)), 1
    else:
        group = form.group or 8
        inputs, step = group * draw(st.integers(1, max(1, 512 // group))), 8
    widths = tuple(step * draw(st.integers(1, 96 // step)) for _ in range(parts))
    return make_layer(form, widths, inputs, draw(st.integers(0, 3)))


def bound(layer: Layer, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """How far each output may be from float32, from the roundings that a kernel makes.

    Of a weight ``(q - z) * s``: the scale, the shift by half of the range that int4 and int8 products add, the product
    of a group. Then sums in float32, in any order, and the result.
    """
    unit = UNITS[dtype]
    held = grouped_weight("test", layer.format, layer.fused, layer.widths)
    steps = held.scales.to(torch.float32).abs().amax(dim=1, keepdim=True)
    shift = float(1 << (layer.format.bits - 1)) if held.zeros is not None else 0.0
    sizes = layer.weight.abs() + shift * steps
    through = x.to(torch.float32).abs() @ sizes.t()
    wanted = (x.to(torch.float32) @ layer.weight.t()).abs()
    return (3 * unit + layer.inputs * 2.0**-22) * through + 3 * unit * wanted + 2.0**-24
