"""The embedded engine's command line for a run folder; torch is not imported here."""

from __future__ import annotations

__all__ = ["DEFAULT_PORT", "refuse_taken", "serve_command"]

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixprec_runtime.adapters.torch.options import API_KEY, DEFAULT_HOST, DEFAULT_PORT, MODULE, read_options
from mixprec_runtime.launching import arguments as words_of
from mixprec_runtime.launching.command import ServeCommand
from mixprec_runtime.method import METHOD

WAITING = "OMP_WAIT_POLICY"
TAKEN: Mapping[str, str] = {"model": "", "model-path": "", "load-format": METHOD, "quantization": METHOD}
"""Arguments that say what is served and how it is loaded."""
ELSEWHERE = frozenset({
    "attention_backend", "block_size", "chunked_prefill_size", "cuda_graph_max_bs", "disable_cuda_graph",
    "disable_radix_cache", "enable_chunked_prefill", "enable_prefix_caching", "enforce_eager", "gpu_memory_utilization",
    "max_num_batched_tokens", "mem_fraction_static", "swap_space",
})  # fmt: skip
"""Arguments by which other engines share out memory and time: the same mix file may be served by any of them."""


def serve_command(
    run_folder: Path, *, model_name: str, serve: Mapping[str, object], arguments: Sequence[str]
) -> ServeCommand:
    """The embedded engine's server in a process of its own.

    ``serve`` are arguments by name, from the mix file; ``arguments`` come after them as they are, so that they win. A
    key for its users goes into the environment, where others do not see it. Raises TakenArgument for what would load
    something else, and BadOption for what the server does not take.
    """
    refuse_taken(serve)
    words_of.refuse_taken_words(arguments, TAKEN, short={})
    given: dict[str, object] = {"served_model_name": model_name, "host": DEFAULT_HOST, "port": DEFAULT_PORT}
    given |= {name.replace("-", "_"): value for name, value in serve.items()}
    key = given.pop("api_key", None)
    asked: list[str] = []
    for name, value in given.items():
        asked += ["--left-aside", name] if name in ELSEWHERE else words_of.option(name, value, negated=True)
    asked += arguments
    typed = words_of.last_given(arguments, "--api-key")
    options = read_options([str(run_folder), *asked])
    secret = typed or (str(key) if key is not None else None)
    return ServeCommand(
        words=(sys.executable, "-m", MODULE, str(run_folder), *_without_key(asked)),
        environment={**_waiting(os.environ), **({API_KEY: secret} if secret else {})},
        host=options.host,
        port=options.port,
    )


def _waiting(environment: Mapping[str, str]) -> dict[str, str]:
    """How OpenMP's threads wait: asleep, unless somebody said otherwise.

    GNU's spin by default; where other programs have the cores, an answer took seven times as long with it.
    """
    return {} if WAITING in environment else {WAITING: "passive"}


def refuse_taken(given: Mapping[str, object]) -> None:
    """Raises TakenArgument for an argument, by name, that would load something else than the plan."""
    words_of.refuse_taken(given, TAKEN)


def _without_key(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    value_follows = False
    for word in words:
        if not value_follows and word != "--api-key" and not word.startswith("--api-key="):
            kept.append(word)
        value_follows = word == "--api-key"
    return kept
