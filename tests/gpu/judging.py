"""Judging: what a served mixture said, held against float32 of the same weights."""

from __future__ import annotations

__all__ = ["Judged", "judge", "unquantized"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mixprec_doctor.records.format import Activation, FormatKind
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.reference.activations import round_activations
from tests.gpu.expert_models import log_probabilities, reference

TIE, TIMES = 0.5, 5.0  # nats between choices that rounding may swap: so many, or so many times what it costs a token
NEAR = 0.1  # nats a token that activations in 16 bits may cost
LAST_SPECIAL = 2  # <unk>, <s> and </s> come first in a generated vocabulary
PART = 0.5  # of the way to the unquantized model


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Nats are means over the tokens of the prompt."""

    difference: float  # served, from float32 of the same weights
    rounded: float  # served, from the same with activations rounded where the format says so
    half: float  # ... and as transformers has that in bfloat16, from it in float32
    from_base: float  # served, from float32 of the unquantized model
    distance: float  # the two in float32
    greedy: int  # new tokens that float32 with rounded activations would have chosen too, after the same words
    of: int
    deficit: float  # by how many nats the worst of them is less likely than its own choice
    same_text: bool  # the OpenAI endpoint gave the same tokens as the engine's own

    @property
    def right(self) -> bool:
        """Nearer to its own weights than to others', and greedy as these are, up to near ties."""
        near = self.difference < max(NEAR, PART * self.distance)
        return near and self.deficit < max(TIE, TIMES * self.half)

    def words(self) -> str:
        """One line."""
        return (
            f"{self.difference:.4f} nats from float32 of the same weights, {self.rounded:.4f} with activations rounded "
            f"(transformers in bfloat16: {self.half:.4f}); {self.from_base:.4f} from the unquantized model (the two: "
            f"{self.distance:.4f}); greedy {self.greedy}/{self.of}, deficit {self.deficit:.3f}; "
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
    for layout, names in _rounding(mix).items():
        round_activations(model, layout, only=names)
    rounded = log_probabilities(model, ids)
    with torch.no_grad():
        logits = model(torch.tensor([ids + chosen], device=device)).logits[0, len(ids) - 1 : -1].float().cpu()
    half = log_probabilities(model.to(torch.bfloat16), ids)
    del model
    there = logits.log_softmax(-1)
    behind = there.max(-1).values - there.gather(1, torch.tensor(chosen)[:, None])[:, 0]
    words = [f"w{token}" for token in chosen if token > LAST_SPECIAL]  # the others are left out of texts
    return Judged(
        difference=round(float((served - right).abs().mean()), 5),
        rounded=round(float((served - rounded).abs().mean()), 5),
        half=round(float((half - rounded).abs().mean()), 5),
        from_base=round(float((served - plain).abs().mean()), 5),
        distance=round(float((right - plain).abs().mean()), 5),
        greedy=int((behind == 0).sum()),
        of=len(chosen),
        deficit=round(float(behind.max()), 4),
        same_text=[word for word in str(answer["text"]).split() if "<" not in word] == words,
    )


def _rounding(mix: Path) -> dict[str, set[str]]:
    """The layers whose activations their format rounds, by what rounds them; each token has a scale."""
    found: dict[str, set[str]] = {}
    for layer in make_plan(read_mix(mix)).layers:
        if layer.format.activation in {Activation.DYNAMIC, Activation.STATIC}:
            layout = {FormatKind.INT8: "int-quantized", FormatKind.FP8: "float-quantized"}.get(layer.format.kind, "")
            found.setdefault(layout, set()).add(layer.layer)
    return found
