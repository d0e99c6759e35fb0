"""Layers, proofs and choices to make tests of."""

from __future__ import annotations

__all__ = ["FP8", "INT4", "layer", "proof", "read", "workload"]

from mixprec_doctor.records.format import Activation, Format, FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Proof, Tier, Verdict
from mixprec_doctor.records.workload import LinearShape, Workload, WorkloadLayer

FP8 = Format(kind=FormatKind.FP8, bits=8, scale="tensor", dtype="F8_E4M3", activation=Activation.STATIC)
INT4 = Format(kind=FormatKind.GPTQ, bits=4, group=64, symmetric=True)


def layer(form: Format = FP8, inputs: int = 64) -> WorkloadLayer:
    """A layer of 64 outputs."""
    shape = LinearShape(inputs=inputs, outputs=(64,), full_inputs=inputs, full_outputs=(64,))
    return WorkloadLayer(
        format=form, shape=shape, source="some", folder="/checkpoint", units=(("model.o_proj",),), parts=((),)
    )


def workload(*layers: WorkloadLayer) -> Workload:
    """These layers."""
    return Workload(name="test", dtype="bfloat16", ranks=1, layers=layers)


def proof(kernel: str, fault: str | None = None) -> Proof:
    """What came of trying a kernel."""
    return Proof(kernel=kernel, method="SomeMethod", fault=fault, error=0.01 if fault is None else None, bound=0.08)


def read(of: WorkloadLayer, *verdicts: tuple[str, Tier, bool | None]) -> KernelChoice:
    """What reading said of a layer's candidates."""
    return KernelChoice(
        engine="vllm", format=of.format, shape=of.shape, dtype="bfloat16", source=of.source,
        verdicts=tuple(
            Verdict(candidate=name, tier=tier, accepted=accepted, reasons=("as read",) if accepted is not True else ())
            for name, tier, accepted in verdicts
        ),
    )  # fmt: skip
