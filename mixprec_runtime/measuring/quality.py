"""Quality: a child process loads each model and scores a text; what it tells line by line becomes a report."""

from __future__ import annotations

__all__ = ["MeasuringFailed", "Progress", "TooShort", "measure_quality"]

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.loading.state import STATE_DIR
from mixprec_runtime.measuring.models import Candidate
from mixprec_runtime.records.quality import MeasuredModel, QualityReport

CHILD = "mixprec_runtime.adapters.torch.scoring"
ENGINE = "torch"
KEPT = 8  # lines of a child that died

Progress = Callable[[int, int, str], None]  # windows done, of how many, the model that is measured now


class TooShort(MixprecError):
    """A text in which nothing can be foreseen."""

    def __init__(self, text: str, tokens: int) -> None:
        super().__init__(text, tokens)
        self.text = text
        self.tokens = tokens

    def __str__(self) -> str:
        return f"wanted a text of at least 2 tokens to measure with, {self.text} has {self.tokens}"


class MeasuringFailed(MixprecError):
    """The measuring process ended before it had said all."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, code: int, last_lines: tuple[str, ...]) -> None:
        super().__init__(code, last_lines)
        self.code = code
        self.last_lines = last_lines

    def __str__(self) -> str:
        said = "".join(f"\n  {line}" for line in self.last_lines)
        return f"the measuring process ended with code {self.code}{said}"


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
    with tempfile.TemporaryDirectory(prefix="mixprec-scores-") as scratch:
        request = Path(scratch) / "request.json"
        request.write_text(
            json.dumps({
                "text": str(text.resolve()), "most_tokens": most_tokens, "window": window, "dtype": dtype,
                "models": [[each.name, str(each.folder)] for each in asked],
            })
        )  # fmt: skip
        for told in _told(request, Path(scratch)):
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


def _told(request: Path, state: Path) -> Iterator[Mapping[str, Any]]:
    """What the child tells; it is ended when nobody listens any more. Raises MeasuringFailed."""
    errors = state / "errors.txt"
    with (
        errors.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", CHILD, str(request)], stdout=subprocess.PIPE, stderr=log, stdin=subprocess.PIPE,
            env={**os.environ, STATE_DIR: str(state)}, text=True,
        ) as child,
    ):  # fmt: skip
        try:
            for line in child.stdout or ():
                if line.startswith("{"):
                    yield json.loads(line)
        finally:
            if child.poll() is None and not _ends(child):
                child.kill()
        code = child.wait()
    if code:
        lines = errors.read_text(encoding="utf-8", errors="replace").splitlines()
        raise MeasuringFailed(code, tuple(line for line in lines if line.strip())[-KEPT:])


def _ends(child: subprocess.Popen[str]) -> bool:
    """Whether a child that has closed its output, or is not heard any more, ends by itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(2)
    return child.poll() is not None
