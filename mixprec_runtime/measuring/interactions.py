"""Interactions: what units of one layer lose together beyond what each of them loses alone."""

from __future__ import annotations

__all__ = ["joint_losses"]

import math
from collections.abc import Mapping

from mixprec_runtime.records.fit import Choice, JointLoss


def joint_losses(alone: Mapping[Choice, float], together: Mapping[frozenset[Choice], float]) -> tuple[JointLoss, ...]:
    """What sets of choices add to what they are made of, smaller sets first.

    ``together`` are losses of sets as they were measured, in nats a token. What a set adds is its loss less those of
    its choices and less what each smaller measured set within it adds, so that all of them sum up to what was measured
    (inclusion and exclusion).
    """
    added: dict[frozenset[Choice], float] = {}
    for choices in sorted(together, key=lambda each: (len(each), sorted(each))):
        within = (nats for smaller, nats in added.items() if smaller < choices)
        added[choices] = together[choices] - math.fsum(alone[choice] for choice in choices) - math.fsum(within)
    return tuple(JointLoss(choices=tuple(sorted(choices)), nats=nats) for choices, nats in added.items())
