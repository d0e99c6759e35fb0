"""Kernel choices in a plan: each layer's kernel by name, and what the engine is told about it."""

from __future__ import annotations

__all__ = ["handed_over", "unserved", "with_choices"]

from collections.abc import Iterable
from dataclasses import replace

from mixprec_doctor.records.kernel import KernelChoice, Tier
from mixprec_runtime.records.plan import Plan


def with_choices(plan: Plan, choices: Iterable[KernelChoice]) -> Plan:
    """The plan with the choices, and each layer named with its kernel."""
    chosen = tuple(choices)
    names = {
        module: choice.winner.candidate for choice in chosen if choice.winner is not None for module in choice.modules
    }
    layers = tuple(replace(layer, kernel=names.get(layer.layer, layer.kernel)) for layer in plan.layers)
    return replace(plan, layers=layers, kernels=chosen)


def handed_over(choices: Iterable[KernelChoice]) -> dict[str, dict[str, object]]:
    """What the engine's side does with each module's layer, by checkpoint name: only what was proved.

    ``without`` are kernels that the engine must be kept from; ``inputs`` and ``outputs`` are the shape, per rank, that
    it was proved for.
    """
    told: dict[str, dict[str, object]] = {}
    for choice in choices:
        verdict = choice.winner
        if verdict is None or (verdict.tier is not Tier.PLACEHOLDER and verdict.proof is None):
            continue
        entry: dict[str, object] = {
            "tier": verdict.tier.value,
            "kernel": verdict.candidate,
            "without": list(choice.passed_over),
            "inputs": choice.shape.inputs,
            "outputs": list(choice.shape.outputs),
            "reasons": [f"{each.candidate}: {'; '.join(each.reasons)}" for each in choice.verdicts if each.reasons],
        }
        told |= dict.fromkeys(choice.modules, entry)
    return told


def unserved(choices: Iterable[KernelChoice]) -> tuple[KernelChoice, ...]:
    """Choices that leave nothing but a placeholder."""
    return tuple(each for each in choices if each.winner is None or each.winner.tier is Tier.PLACEHOLDER)
