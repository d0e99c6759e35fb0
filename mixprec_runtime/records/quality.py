"""QualityReport: how well a mixture foresees a text, beside the base model and each of its checkpoints alone."""

from __future__ import annotations

__all__ = ["MeasuredModel", "QualityReport"]

import math
from dataclasses import dataclass

FEWEST = 8  # windows from which on a spread says something


@dataclass(frozen=True, kw_only=True)
class MeasuredModel:
    """One model's losses on the windows of a text, or why there are none."""

    name: str  # "mixture", or the source that it is made of alone: "model" is the base
    bytes: int  # in its checkpoints
    nats: tuple[float, ...] = ()  # the sum of each window's negative log-probabilities
    seconds: float = 0.0
    fault: str | None = None

    @property
    def total(self) -> float:
        """Nats of the whole text."""
        return math.fsum(self.nats)


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """Figures of several models on the same windows. ``scored`` are tokens of each window that count."""

    text: str
    engine: str
    dtype: str
    text_tokens: int  # of the whole text
    window: int  # tokens that are seen together; windows stand side by side
    scored: tuple[int, ...]
    models: tuple[MeasuredModel, ...]

    @property
    def tokens(self) -> int:
        """Tokens that count."""
        return sum(self.scored)

    def perplexity(self, model: MeasuredModel) -> float | None:
        """``exp`` of the mean loss of a token; None where nothing was measured."""
        return math.exp(model.total / self.tokens) if model.fault is None and self.tokens else None

    def beside(self, model: MeasuredModel, other: MeasuredModel) -> tuple[float, float | None] | None:
        """How many nats a token a model loses more than another, and the standard error of that over the windows.

        The error is None for fewer than eight windows, and everything where one of them was not measured.
        """
        if model.fault is not None or other.fault is not None or not self.tokens:
            return None
        mean = (model.total - other.total) / self.tokens
        count = len(self.scored)
        if count < FEWEST:
            return mean, None
        each = zip(model.nats, other.nats, self.scored, strict=True)
        off = math.fsum((mine - theirs - mean * size) ** 2 for mine, theirs, size in each)
        return mean, math.sqrt(off * count / (count - 1)) / self.tokens

    def to_json(self) -> dict[str, object]:
        """The ``quality`` object of ``mixprec.plan/1`` documents."""
        base = next((model for model in self.models if model.name == "model"), None)
        return {
            "text": self.text,
            "engine": self.engine,
            "dtype": self.dtype,
            "text_tokens": self.text_tokens,
            "scored_tokens": self.tokens,
            "window": self.window,
            "windows": len(self.scored),
            "models": [self._model(model, base) for model in self.models],
        }

    def _model(self, model: MeasuredModel, base: MeasuredModel | None) -> dict[str, object]:
        beside = self.beside(model, base) if base is not None else None
        return {
            "name": model.name,
            "bytes": model.bytes,
            "perplexity": self.perplexity(model),
            "nats_per_token": model.total / self.tokens if model.fault is None and self.tokens else None,
            "nats_per_token_above_base": beside[0] if beside else None,
            "standard_error": beside[1] if beside else None,
            "seconds": model.seconds if model.fault is None else None,
            "fault": model.fault,
        }
