"""A standard workload: a layer of each format, with generated weights, where no mix file says what is served."""

from __future__ import annotations

__all__ = ["STANDARD_FORMATS", "standard_workload"]

from collections.abc import Iterable

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.workload import LinearShape, Workload, WorkloadLayer

INPUTS, OUTPUTS = 1024, (1024, 1024)
BLOCK = (128, 128)

STANDARD_FORMATS: tuple[Format, ...] = (
    Format(kind=FormatKind.PLAIN, bits=16, dtype="BF16"),
    Format(kind=FormatKind.FP8, bits=8, scale="tensor", dtype="F8_E4M3", activation=Activation.STATIC),
    Format(kind=FormatKind.FP8, bits=8, scale="tensor", dtype="F8_E4M3", activation=Activation.DYNAMIC),
    Format(kind=FormatKind.FP8, bits=8, scale="channel", dtype="F8_E4M3", activation=Activation.DYNAMIC),
    Format(
        kind=FormatKind.FP8, bits=8, scale="block", dtype="F8_E4M3", block=BLOCK, activation=Activation.DYNAMIC
    ),
    Format(kind=FormatKind.GPTQ, bits=4, group=128, symmetric=True),
    Format(kind=FormatKind.GPTQ, bits=4, group=128, symmetric=True, act_order=True),
    Format(kind=FormatKind.GPTQ, bits=4, group=128, symmetric=False),
    Format(kind=FormatKind.GPTQ, bits=8, group=128, symmetric=True),
    Format(kind=FormatKind.AWQ, bits=4, group=128, symmetric=False),
    Format(kind=FormatKind.INT8, bits=8, scale="channel", dtype="I8", symmetric=True, activation=Activation.DYNAMIC),
    Format(
        kind=FormatKind.INT8, bits=8, scale="block", dtype="I8", block=BLOCK, symmetric=True,
        activation=Activation.DYNAMIC,
    ),
    Format(kind=FormatKind.PACKED, bits=4, group=128, symmetric=True),
    Format(kind=FormatKind.PACKED, bits=8, group=128, symmetric=True),
)  # fmt: skip
"""The formats that mixprec promises to serve, one of each."""


def standard_workload(formats: Iterable[Format] = STANDARD_FORMATS, *, dtype: str = "bfloat16") -> Workload:
    """A layer of 1024 inputs and two fused parts of 1024 outputs for each format."""
    shape = LinearShape(
        inputs=INPUTS, outputs=OUTPUTS, full_inputs=INPUTS, full_outputs=OUTPUTS, partition="column"
    )  # fmt: skip
    layers = tuple(
        WorkloadLayer(format=form, shape=shape, source=form.name, folder="", units=(), parts=()) for form in formats
    )
    return Workload(name="one layer of each format", dtype=dtype, ranks=1, layers=layers)
