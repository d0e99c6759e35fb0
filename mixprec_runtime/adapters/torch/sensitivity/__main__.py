"""``python -m mixprec_runtime.adapters.torch.sensitivity REQUEST.json``: the child process that measures.

It tells one JSON object a line: how long the texts are; what each choice loses; then, for each mixture that a line on
standard input names, how far it is from the base. It ends when standard input is closed.
"""

from __future__ import annotations

__all__ = ["main"]

import json
import os
import queue
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mixprec_runtime.adapters.torch.sensitivity.errors import weight_errors
from mixprec_runtime.adapters.torch.sensitivity.layers import Measured, UnitChoices, joint, measure_layer, passes_of
from mixprec_runtime.adapters.torch.sensitivity.skeleton import skeleton
from mixprec_runtime.adapters.torch.sensitivity.staged import Reading, StagedModel
from mixprec_runtime.adapters.torch.sensitivity.weights import Weights
from mixprec_runtime.fitting.texts import windows_of
from mixprec_runtime.records.mix import BASE_SOURCE

Asked = Mapping[str, Any]


def main(request: Path) -> int:
    """Measure what a request names, then mixtures until nobody asks any more."""
    asked = json.loads(request.read_text(encoding="utf-8"))
    questions: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(questions, request.parent), daemon=True).start()
    units = [
        UnitChoices(
            name=each["name"], layer=each["layer"], modules={name: tuple(of) for name, of in each["modules"].items()}
        )
        for each in asked["units"]
    ]
    folders = {name: Path(folder) for name, folder in asked["folders"].items()}
    if asked["errors"]:
        _tell(total=sum(len(unit.modules) for unit in units))
        for unit, source, error in weight_errors(folders, units):
            _tell(unit=unit, source=source, error=error, moved=1)
        _tell(measured=True)
    model: StagedModel | None = None
    readings: dict[int, Reading] = {}
    if asked["follow"]:
        model = _model(folders, asked)
        readings[0] = _read(model, asked, 0)
        _follow(model, readings[0], units, asked)
        _tell(measured=True)
    while True:
        question = json.loads(questions.get())
        model = model or _model(folders, asked)
        text = question["text"]
        if text not in readings:
            readings[text] = _read(model, asked, text)
        apart, nats = _mixture(model, readings[text], units, question["sources"])
        _tell(name=question["name"], divergence=apart, nats=nats, tokens=readings[text].ids.numel())


def _listen(questions: queue.SimpleQueue[str], scratch: Path) -> None:
    """Lines of standard input; where that is closed, nobody listens any more, nor clears away what was asked."""
    for line in sys.stdin:
        questions.put(line)
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


def _model(folders: Mapping[str, Path], asked: Asked) -> StagedModel:
    weights = Weights(skeleton(folders[BASE_SOURCE]), folders)
    return StagedModel(weights, most_bytes=asked["most_bytes"])


def _read(model: StagedModel, asked: Asked, text: int) -> Reading:
    from transformers import AutoTokenizer

    wanted = asked["texts"][text]
    tokenizer = AutoTokenizer.from_pretrained(asked["folders"][BASE_SOURCE], local_files_only=True)
    parts = [tokenizer(part, verbose=False)["input_ids"] for part in wanted["parts"]]
    length, count = wanted["window"], max(1, wanted["tokens"] // wanted["window"])
    windows = windows_of(parts, length=length, count=count)
    _tell(text=text, windows=len(windows), window=length)
    if not windows:
        raise ValueError(f"{wanted['name']} has no {length} tokens")
    return model.read(torch.tensor(windows, dtype=torch.int64))


def _follow(model: StagedModel, reading: Reading, units: Sequence[UnitChoices], asked: Asked) -> None:
    known = {(unit, source): Measured(unit=unit, source=source, change=change, nats=nats)
             for unit, source, change, nats in asked["known"]}  # fmt: skip
    layers: dict[int | None, list[UnitChoices]] = {}
    for unit in units:
        layers.setdefault(unit.layer, []).append(unit)
    steps = {at: passes_of(at, model.depth) for at in layers}
    _tell(total=sum(steps.values()), covered=reading.covered, whole=model.whole)
    for at, members in layers.items():
        heard = {key: each for key, each in known.items() if key[0] in _keys(members, at)}
        moved = _Moved(steps[at])
        for each in measure_layer(model, reading, members, heard, share=asked["share"], moved=moved):
            _tell(unit=each.unit, source=each.source, change=each.change, nats=each.nats)
        moved.end()


class _Moved:
    """Tells of the layers that a layer's choices are followed through, as parts of the work that was foreseen."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def __call__(self, steps: int) -> None:
        done = min(steps, self._left)
        if done:
            self._left -= done
            _tell(moved=done)

    def end(self) -> None:
        """All that is left: what was known, and the head."""
        self(self._left)


def _keys(units: Sequence[UnitChoices], at: int | None) -> set[str]:
    return {unit.name for unit in units} | ({joint(at)} if at is not None else set())


def _mixture(
    model: StagedModel, reading: Reading, units: Sequence[UnitChoices], sources: Mapping[str, str]
) -> tuple[float, float]:
    swaps: dict[int | None, list[tuple[str, tuple[str, ...]]]] = {}
    for unit in units:
        source = sources[unit.name]
        if source != BASE_SOURCE:
            swaps.setdefault(unit.layer, []).append((source, unit.modules[source]))
    return model.mixture(reading, swaps)


def _tell(**told: object) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
