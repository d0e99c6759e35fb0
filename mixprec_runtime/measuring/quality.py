"""Quality: a child process loads each model and scores a text; what it tells line by line becomes a report."""

from __future__ import annotations

__all__ = ["Progress", "TooShort", "measure_quality"]

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixprec_doctor.errors import MixprecError
from mixprec_runtime.measuring.child import Child
from mixprec_runtime.measuring.models import Candidate
from mixprec_runtime.records.quality import MeasuredModel, QualityReport

CHILD = "mixprec_runtime.adapters.torch.scoring"
ENGINE = "torch"

Progress = Callable[[int, int, str], None]  # windows done, of how many, the model that is measured now


class TooShort(MixprecError):
    """A text in which nothing can be foreseen."""

    def __init__(self, text: str, tokens: int) -> None:
        super().__init__(text, tokens)
        self.text = text
        self.tokens = tokens

    def __str__(self) -> str:
        return f"wanted a text of at least 2 tokens to measure with, {self.text} has {self.tokens}"


def measure_quality(
    models: Sequence[Candidate], text: Path, *, most_tokens: int, window: int, dtype: str, progress: Progress
) -> QualityReport:
    """Figures of the models that have a folder, on the first ``most_tokens`` tokens of a text.

    A model that fails keeps its fault, and the others are measured all the same. Raises TooShort and MeasuringFailed.
    """
    asked = [each for each in models if each.folder is not None]
    said: Mapping[str, Any] = {}
    nats: dict[str, list[float]] = {each.name: [] for each in asked}
    ended: dict[str, Mapping[str, Any]] = {}
    request = {
        "text": str(text.resolve()), "most_tokens": most_tokens, "window": window, "dtype": dtype,
        "models": [[each.name, str(each.folder)] for each in asked],
    }  # fmt: skip
    with Child(CHILD, request) as child:
        for told in child.told():
            name = str(told.get("model"))
            if "scored" in told:
                said = told
                if not sum(told["scored"]):
                    raise TooShort(str(text), int(told["text_tokens"]))
            elif "nats" in told:
                nats[name].append(float(told["nats"]))
            elif "ended" in told:
                ended[name] = told
            windows = len(said.get("scored", ()))
            progress(sum(map(len, nats.values())), windows * len(asked), name if name in nats else "")
    return QualityReport(
        text=str(text),
        engine=ENGINE,
        dtype=dtype,
        text_tokens=int(said["text_tokens"]),
        window=int(said["window"]),
        scored=tuple(said["scored"]),
        models=tuple(_measured(each, nats.get(each.name, ()), ended.get(each.name)) for each in models),
    )


def _measured(model: Candidate, nats: Sequence[float], ended: Mapping[str, Any] | None) -> MeasuredModel:
    if ended is None or ended["fault"] is not None:
        fault = model.fault if ended is None else str(ended["fault"])
        return MeasuredModel(name=model.name, bytes=model.bytes, fault=fault or "was not measured")
    return MeasuredModel(
        name=model.name, bytes=model.bytes, nats=tuple(nats), seconds=float(ended["ended"])
    )  # fmt: skip
