"""Judging: what a served mixture said, held against float32 of the same weights."""

from __future__ import annotations

__all__ = ["Judged", "judge", "unquantized"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.gpu.expert_models import log_probabilities, reference

NEAR = 0.1  # nats a token that activations in 16 bits may cost
LAST_SPECIAL = 2  # <unk>, <s> and </s> come first in a generated vocabulary
PART = 0.5  # of the way to the unquantized model


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Nats are means over the tokens of the prompt."""

    difference: float  # served, from float32 of the same weights
    from_base: float  # served, from float32 of the unquantized model
    distance: float  # the two in float32
    greedy: int  # new tokens that float32 would have chosen too, after the same words
    of: int
    deficit: float  # by how many nats the worst of them is less likely than float32's own choice
    same_text: bool  # the OpenAI endpoint gave the same tokens as the engine's own

    @property
    def right(self) -> bool:
        """Nearer to its own weights than to others', and the greedy choices float32's up to near ties."""
        near = self.difference < max(NEAR, PART * self.distance)
        return near and self.deficit < max(0.5, 6 * self.difference)

    def words(self) -> str:
        """One line."""
        return (
            f"{self.difference:.4f} nats from float32 of the same weights, {self.from_base:.4f} from the unquantized "
            f"model (the two: {self.distance:.4f}); greedy {self.greedy}/{self.of}, deficit {self.deficit:.3f}; "
            f"{'same' if self.same_text else 'other'} text by /v1"
        )


def unquantized(mix: Path, prompt: Sequence[int], *, device: str) -> torch.Tensor:
    """What the base of a mix file, whose plan takes all from it, thinks of the prompt in float32."""
    return log_probabilities(reference(mix, device=device), list(prompt))


def judge(mix: Path, *, plain: torch.Tensor, prompt: Sequence[int], answer: Mapping[str, Any], device: str) -> Judged:
    """Hold an answer (``prompt``: log-probabilities; ``tokens``; ``text``) against the mixture's float32 reference."""
    ids, chosen = list(prompt), list(answer["tokens"])
    served = torch.tensor(answer["prompt"])
    model = reference(mix, device=device)
    right = log_probabilities(model, ids)
    with torch.no_grad():
        logits = model(torch.tensor([ids + chosen], device=device)).logits[0, len(ids) - 1 : -1].float().cpu()
    del model
    there = logits.log_softmax(-1)
    behind = there.max(-1).values - there.gather(1, torch.tensor(chosen)[:, None])[:, 0]
    words = [f"w{token}" for token in chosen if token > LAST_SPECIAL]  # the others are left out of texts
    return Judged(
        difference=round(float((served - right).abs().mean()), 5),
        from_base=round(float((served - plain).abs().mean()), 5),
        distance=round(float((right - plain).abs().mean()), 5),
        greedy=int((behind == 0).sum()),
        of=len(chosen),
        deficit=round(float(behind.max()), 4),
        same_text=[word for word in str(answer["text"]).split() if "<" not in word] == words,
    )
