"""Portable kernels of a workload by what they take: all that serves the embedded engine, and so nothing is proved."""

from __future__ import annotations

__all__ = ["portable_choices"]

from dataclasses import replace

from mixprec_doctor.kernels.portable import PORTABLE, refusals
from mixprec_doctor.records.format import FormatKind
from mixprec_doctor.records.kernel import KernelChoice, Tier, Verdict
from mixprec_doctor.records.workload import Workload, WorkloadLayer

ENGINE = "torch"


def portable_choices(
    workload: Workload, *, device: str = "cpu", capability: int | None = None
) -> tuple[KernelChoice, ...]:
    """The choice for each compressed layer: the first kernel that takes it, as the engine itself chooses.

    Which operators the installed torch has is not looked at: those of a CPU came with 2.6, which the engine asks for.
    """
    return tuple(
        _choice(layer, workload.dtype, device, capability)
        for layer in workload.layers
        if layer.format.kind is not FormatKind.PLAIN
    )


def _choice(layer: WorkloadLayer, dtype: str, device: str, capability: int | None) -> KernelChoice:
    verdicts = []
    for kernel in PORTABLE:
        if layer.format.kind not in kernel.kinds:
            continue
        against = refusals(
            kernel, layer.format, layer.shape, dtype=dtype, device=device, capability=capability, operators=None
        )
        verdicts.append(Verdict(candidate=kernel.name, tier=Tier.PORTABLE, accepted=not against, reasons=against))
    choice = KernelChoice(
        engine=ENGINE, format=layer.format, shape=layer.shape, dtype=dtype, verdicts=tuple(verdicts)
    ).for_layers(layer)
    return replace(choice, verdicts=tuple(replace(each, foreseen=each is choice.winner) for each in choice.verdicts))
