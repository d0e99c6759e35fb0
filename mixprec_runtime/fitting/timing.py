"""Timing: what kernels serve the units of a plan, and how long one row takes through them where that was measured."""

from __future__ import annotations

__all__ = ["KernelTimes", "KernelsOf", "kernel_times"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

from mixprec_doctor.records.kernel import KernelChoice, Timing
from mixprec_doctor.records.workload import Workload
from mixprec_runtime.planning.kernels import unserved
from mixprec_runtime.planning.workload import workload_of
from mixprec_runtime.records.mix import Mix
from mixprec_runtime.records.plan import Plan

KernelsOf = Callable[[Workload], Sequence[KernelChoice]]
"""What serves each layer of a workload, as far as known."""


@dataclass(frozen=True, kw_only=True)
class KernelTimes:
    """By module: the layer of the engine that it is in, its seconds for one row, and why nothing serves it."""

    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    timings: Mapping[str, Timing] = field(default_factory=dict)
    unserved: Mapping[str, str] = field(default_factory=dict)

    def seconds(self, modules: Sequence[str], *, plain: bool = False) -> float | None:
        """Of one row through all of them, each layer once; None where one was not timed. Or in 16 bits, ``plain``."""
        each = [self.timings.get(module) for module in modules if self._is_first(module)]
        known = [timing.plain_seconds if plain else timing.seconds for timing in each if timing is not None]
        alone = all(module in self.layers for module in modules)
        return fsum(known) if alone and known and len(known) == len(each) else None

    def _is_first(self, module: str) -> bool:
        return self.layers.get(module, (module,))[0] == module


def kernel_times(plan: Plan, mix: Mix, *, kernels: KernelsOf, ranks: int) -> KernelTimes:
    """What ``kernels`` says of the linear layers of a plan; experts and the output head are none of them."""
    workload = workload_of(plan, mix, ranks=ranks)
    choices = tuple(kernels(workload)) if workload.layers else ()
    timings: dict[str, Timing] = {}
    for choice in choices:
        proof = choice.winner.proof if choice.winner is not None else None
        for timing in proof.timings if proof is not None else ():
            if timing.rows == 1:
                timings |= dict.fromkeys(choice.modules, timing)
    return KernelTimes(
        layers={module: unit for layer in workload.layers for unit in layer.units for module in unit},
        timings=timings,
        unserved={module: _why(choice) for choice in unserved(choices) for module in choice.modules},
    )


def _why(choice: KernelChoice) -> str:
    reasons = "; ".join(dict.fromkeys(reason for verdict in choice.verdicts for reason in verdict.reasons))
    return f"no kernel serves {choice.format.name} here" + (f": {reasons}" if reasons else "")
