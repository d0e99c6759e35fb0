"""Interactions: what units of one layer lose together beyond what each of them loses alone."""

from __future__ import annotations

__all__ = ["pair_losses"]

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from mixprec_runtime.records.fit import JointLoss


def pair_losses(source: str, alone: Mapping[str, float], together: float) -> Iterator[JointLoss]:
    """Pairs of a layer's units that were measured alone (nats by unit) and together, from one source.

    Small changes add up as vectors do: a loss is half the square of a length, and what two have together is twice the
    product of their lengths times the cosine between them. One measurement of all gives one cosine for all pairs of
    the layer: ``(together - sum k_i) / (2 * sum sqrt(k_i k_j))``, kept between -1 and 1.
    """
    units: Sequence[str] = tuple(alone)
    products = {(i, j): math.sqrt(max(alone[i], 0.0) * max(alone[j], 0.0)) for i, j in combinations(units, 2)}
    whole = 2 * math.fsum(products.values())
    if whole <= 0:
        return
    cosine = min(1.0, max(-1.0, (together - math.fsum(alone.values())) / whole))
    for (i, j), product in products.items():
        yield JointLoss(choices=((i, source), (j, source)), nats=2 * cosine * product)
