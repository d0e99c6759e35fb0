"""Scoring: ``python -m mixprec_runtime.adapters.torch.scoring REQUEST.json`` tells how well models foresee a text.

One JSON object a line on standard output: what is scored; then for each model the nats of each window, and how it
ended. A model that cannot be loaded or run is told as a fault, and the next one has its turn.
"""

from __future__ import annotations

__all__ = ["main"]

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mixprec_doctor.errors import MixprecError

WORDS = 300  # characters of a fault


def main(request: Path) -> int:
    """Score every model of a request."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asked = json.loads(request.read_text(encoding="utf-8"))
    text = Path(asked["text"]).read_text(encoding="utf-8", errors="replace")
    from transformers import AutoConfig, AutoTokenizer

    from mixprec_runtime.reference.perplexity import windows

    first = asked["models"][0][1]
    tokens = AutoTokenizer.from_pretrained(first, local_files_only=True)(text, verbose=False)["input_ids"]
    most = getattr(AutoConfig.from_pretrained(first).get_text_config(), "max_position_embeddings", None)
    window = min(asked["window"], most or asked["window"])
    cut = windows(tokens[: asked["most_tokens"]], length=window)
    _tell(scored=[each.scored for each in cut], text_tokens=len(tokens), window=window)
    for name, folder in asked["models"] if cut else ():
        _score(name, folder, cut, dtype=asked["dtype"])
        gc.collect()
    return 0


def _end_with_parent() -> None:
    """The parent holds the other end of standard input: where that is closed, nobody listens any more."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _score(name: str, folder: str, cut: Sequence[Any], *, dtype: str) -> None:
    from mixprec_runtime.reference.perplexity import measure

    began = time.perf_counter()
    _tell(model=name)
    try:
        model = _loaded(Path(folder), dtype)
        for each in cut:
            _tell(model=name, nats=measure(model, [each]).nats)
    except Exception as fault:  # noqa: BLE001  whatever a model does is told, and the next one is measured
        words = str(fault) if isinstance(fault, MixprecError) else f"{type(fault).__name__}: {fault}"
        _tell(model=name, ended=0.0, fault=words.partition("\n")[0][:WORDS])
    else:
        _tell(model=name, ended=time.perf_counter() - began, fault=None)


def _loaded(folder: Path, dtype: str) -> Any:  # noqa: ANN401  transformers is untyped
    from mixprec_runtime.adapters.torch.opening import load

    if not folder.is_dir():  # else it would be taken for a mix file
        raise FileNotFoundError(folder)
    return load(folder, dtype=dtype, progress=False).model


def _tell(**told: Any) -> None:  # noqa: ANN401
    line: Mapping[str, Any] = told
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
