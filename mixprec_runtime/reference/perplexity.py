"""Perplexity: how well a model foresees a text, in windows that any engine can repeat.

The text is cut into windows of ``length`` tokens that start every ``stride`` tokens. Within a window every token
is foreseen from the window's tokens before it; its first token is never scored, nor is any token that an earlier
window scored. Perplexity is ``exp`` of the mean negative natural logarithm of the probabilities of scored tokens.
With ``stride == length`` the windows do not overlap, and each loses its first token.
"""

from __future__ import annotations

__all__ = ["Perplexity", "Window", "measure", "windows"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Window:
    """Tokens seen together; those from position ``first`` on (at least 1) are scored."""

    tokens: tuple[int, ...]
    first: int

    @property
    def scored(self) -> int:
        """How many of its tokens are scored."""
        return len(self.tokens) - self.first


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """The sum of the negative natural log-probabilities (nats) of so many scored tokens."""

    nats: float
    tokens: int

    @property
    def nats_per_token(self) -> float:
        """Mean negative natural log-probability."""
        return self.nats / self.tokens

    @property
    def value(self) -> float:
        """The perplexity."""
        return math.exp(self.nats_per_token)


def windows(tokens: Sequence[int], *, length: int, stride: int | None = None) -> tuple[Window, ...]:
    """Cut a text; ``stride`` is ``length`` when left out. Raises ValueError for lengths that score nothing."""
    step = length if stride is None else stride
    if length < 2 or not 1 <= step <= length:
        raise ValueError(f"wanted a length of at least 2 and 1 <= stride <= length, found {length} and {step}")
    cut: list[Window] = []
    scored_until = 0
    for start in range(0, len(tokens), step):
        part = tuple(tokens[start : start + length])
        first = max(1, scored_until - start)
        if first < len(part):
            cut.append(Window(tokens=part, first=first))
            scored_until = start + len(part)
    return tuple(cut)


def measure(model: PreTrainedModel, cut: Sequence[Window]) -> Perplexity:
    """The perplexity of a transformers causal language model, computed in the model's own type."""
    nats = 0.0
    for window in cut:
        ids = torch.tensor([window.tokens], dtype=torch.int64)
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0, window.first - 1 : -1]
            chosen = ids[0, window.first :]
            lost = torch.nn.functional.cross_entropy(logits.to(torch.float32), chosen, reduction="sum")
        nats += float(lost)
    return Perplexity(nats=nats, tokens=sum(window.scored for window in cut))
