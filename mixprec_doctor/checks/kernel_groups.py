"""Kernel groups: choices of many layers as few findings, one for each engine, format and set of reasons."""

from __future__ import annotations

__all__ = ["breaks", "grave", "group_choices", "is_slow", "layers_of", "without_numbers"]

import re
from collections.abc import Callable, Hashable, Iterable

from mixprec_doctor.kernels.operators import MISSING
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.records.kernel import KernelChoice, Tier, Verdict

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def group_choices(
    choices: Iterable[KernelChoice], key: Callable[[KernelChoice], Hashable | None]
) -> list[list[KernelChoice]]:
    """Choices that are alike but for numbers such as shapes, in their order; those whose key is None are left out."""
    found: dict[Hashable, list[KernelChoice]] = {}
    for choice in choices:
        if (own := key(choice)) is not None:
            found.setdefault((choice.engine, choice.format, own), []).append(choice)
    return list(found.values())


def without_numbers(texts: Iterable[str]) -> tuple[str, ...]:
    """Reasons with their numbers taken out: the same for shapes that differ."""
    return tuple(_NUMBER.sub("N", text) for text in texts)


def breaks(verdict: Verdict) -> str | None:
    """What is wrong with a kernel that the engine would take; None where nothing is, or the engine refuses it."""
    if verdict.tier is not Tier.NATIVE:
        return None
    if is_slow(verdict):
        return "; ".join(verdict.reasons)
    if verdict.proof is not None:
        return verdict.proof.fault
    if verdict.accepted is False:
        return next((reason for reason in verdict.reasons if reason.startswith(MISSING)), None)
    return None


def is_slow(verdict: Verdict) -> bool:
    """Whether a kernel works and gives way all the same, to one that takes much less time."""
    return verdict.proof is not None and verdict.proof.worked and verdict.accepted is False


def grave(choices: Iterable[KernelChoice], severity: Severity) -> Severity:
    """The severity for layers that somebody wants served; for formats that were tried unasked it is only a note."""
    return severity if any(choice.modules for choice in choices) else Severity.INFO


def layers_of(choices: Iterable[KernelChoice]) -> str:
    """``model.layers.0.mlp.down_proj and 29 more``, or the shapes where no layers were named."""
    known = list(choices)
    names = [module for choice in known for module in choice.modules]
    if names:
        return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    shapes = [str(choice.shape) for choice in known]
    return shapes[0] if len(shapes) == 1 else f"{shapes[0]} and {len(shapes) - 1} more shapes"
