"""SGLang's command line for a run folder; the engine is not imported here."""

from __future__ import annotations

__all__ = ["DEFAULT_PORT", "in_sglangs_words", "refuse_taken", "serve_command"]

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixprec_runtime.launching import arguments as words_of
from mixprec_runtime.launching.command import ServeCommand
from mixprec_runtime.method import METHOD

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000  # as on every engine; SGLang's own would be 30000
OWN_DOOR, BOOTSTRAP = "sglang.launch_server", "mixprec_runtime.adapters.sglang.server"
PLUGINS = "SGLANG_PLUGINS"

TAKEN: Mapping[str, str] = {
    "model-path": "", "model": "", "load-format": "", "quantization": "", "modelopt-quant": "", "torchao-config": "",
}  # fmt: skip
"""Arguments that say what is served and how it is loaded."""
NAMES: Mapping[str, str] = {
    "tensor_parallel_size": "tp_size",
    "pipeline_parallel_size": "pp_size",
    "data_parallel_size": "dp_size",
    "tp": "tp_size",
    "pp": "pp_size",
    "dp": "dp_size",
    "max_model_len": "context_length",
    "gpu_memory_utilization": "mem_fraction_static",
    "max_num_seqs": "max_running_requests",
    "enforce_eager": "disable_cuda_graph",
    "seed": "random_seed",
}
"""What vLLM calls an argument, and SGLang calls otherwise: a mix file may be served by either."""


def serve_command(
    run_folder: Path,
    *,
    model_name: str,
    serve: Mapping[str, object],
    arguments: Sequence[str],
    plugins: bool,
) -> ServeCommand:
    """``sglang.launch_server`` of this interpreter's own SGLang, for the run folder, through the door that works here.

    ``plugins``: this release loads plugins, and so finds mixprec by itself; before that the server is started by a
    module of mixprec. ``serve`` are engine arguments by name, from the mix file; ``arguments`` come after them as they
    are, so that they win. The server listens on loopback unless a host is named. Raises InvalidPort for a port that is
    none, and TakenArgument for what would load something else.
    """
    refuse_taken(serve)
    words_of.refuse_taken_words(arguments, TAKEN, short={})
    given: dict[str, object] = {"host": DEFAULT_HOST, "port": DEFAULT_PORT, "served_model_name": model_name}
    given |= in_sglangs_words(serve)
    words = [sys.executable, "-m", OWN_DOOR if plugins else BOOTSTRAP, "--model-path", str(run_folder)]
    for name, value in given.items():
        words += words_of.option(name, value, negated=False)
    words += arguments
    return ServeCommand(
        words=tuple(words),
        environment=_environment() if plugins else {},
        host=words_of.last_given(words, "--host") or DEFAULT_HOST,
        port=words_of.port_of(words_of.last_given(words, "--port"), default=DEFAULT_PORT),
    )


def in_sglangs_words(serve: Mapping[str, object]) -> dict[str, object]:
    """Arguments of a mix file by the names that SGLang has for them."""
    spelled = {name.replace("-", "_"): value for name, value in serve.items()}
    return {NAMES.get(name, name): value for name, value in spelled.items()}


def refuse_taken(given: Mapping[str, object]) -> None:
    """Raises TakenArgument for an engine argument, by name, that would load something else than the plan."""
    words_of.refuse_taken(given, TAKEN)


def _environment() -> dict[str, str]:
    """Where a user names the plugins to load, mixprec is one of them."""
    named = [name.strip() for name in os.environ.get(PLUGINS, "").split(",") if name.strip()]
    return {PLUGINS: ",".join([*named, METHOD])} if named and METHOD not in named else {}
