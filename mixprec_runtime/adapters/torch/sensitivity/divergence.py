"""Divergence of one next-token distribution from another, computed so that small ones keep their digits."""

from __future__ import annotations

__all__ = ["Foreseen", "divergence", "likely"]

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What the base foresees at each position of a window: logits and probabilities, ``[length, tokens]``."""

    logits: torch.Tensor
    probabilities: torch.Tensor

    @classmethod
    def of(cls, logits: torch.Tensor) -> Foreseen:
        """From the base's logits of all tokens of the vocabulary, or of some that stand for all."""
        return cls(logits=logits, probabilities=torch.softmax(logits, -1))


def likely(foreseen: Foreseen, count: int) -> torch.Tensor:
    """The tokens that have most of a window's probability, in order; all where there are no more."""
    mass = foreseen.probabilities.sum(0)
    return torch.topk(mass, min(count, mass.shape[0])).indices.sort().values


def divergence(base: Foreseen, logits: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence at each position, in nats ``[length]``, of what has ``logits`` from the base.

    With ``d`` the base's logits less the others', and ``x`` those less their mean under the base's probabilities, it is
    ``log E[exp(-x)] = log1p(E[expm1(-x) + x])``, since the mean of ``x`` is zero. Differences of logarithms would lose
    what is below 1e-5 to rounding.
    """
    away = base.logits - logits
    away -= (base.probabilities * away).sum(-1, keepdim=True)
    grown = torch.expm1(-away).add_(away).mul_(base.probabilities)
    return torch.log1p(grown.sum(-1))
