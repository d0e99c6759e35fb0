"""vLLM's command line as words: doors, options in every form, and which value counts."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from mixprec_runtime.adapters.vllm import command as module
from mixprec_runtime.adapters.vllm.command import serve_command
from mixprec_runtime.launching.arguments import InvalidPort, TakenArgument
from mixprec_runtime.launching.command import ServeCommand


@pytest.fixture(autouse=True)
def _vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "distribution", lambda name: object())


def made(serve: Mapping[str, object] | None = None, arguments: Sequence[str] = ()) -> ServeCommand:
    return serve_command(Path("/run"), model_name="mix", serve=serve or {}, arguments=arguments)


def options(serve: Mapping[str, object]) -> list[str]:
    """The words that come from the serve section."""
    words = list(made(serve).words)
    return words[words.index("--served-model-name") + 2 :]


def test_the_whole_command() -> None:
    assert made().words == (
        sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", "/run", "--load-format", "mixprec",
        "--quantization", "mixprec", "--host", "127.0.0.1", "--port", "8000", "--served-model-name", "mix",
    )  # fmt: skip
    assert (made().host, made().port, made().url) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")


def test_without_vllm_s_metadata_the_server_s_module_is_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "distribution", missing)
    assert made().words[1:5] == ("-m", "vllm.entrypoints.openai.api_server", "--model", "/run")


@pytest.mark.parametrize("serve, words", [
    ({"max_model_len": 4096}, ["--max-model-len", "4096"]),
    ({"max-model-len": 4096}, ["--max-model-len", "4096"]),
    ({"enforce_eager": True}, ["--enforce-eager"]),
    ({"enable_prefix_caching": False}, ["--no-enable-prefix-caching"]),
    ({"allowed_origins": ["a", "b"]}, ["--allowed-origins", "a", "b"]),
    ({"gpu_memory_utilization": 0.5}, ["--gpu-memory-utilization", "0.5"]),
    ({"swap_space": 0}, ["--swap-space", "0"]),
    ({"seed": 1}, ["--seed", "1"]),
    ({"dtype": "bfloat16"}, ["--dtype", "bfloat16"]),
])  # fmt: skip
def test_each_kind_of_option(serve: dict[str, object], words: list[str]) -> None:
    assert options(serve) == words


def test_the_serve_section_takes_the_place_of_defaults() -> None:
    command = made({"port": 9000, "host": "0.0.0.0", "served-model-name": "other"})  # noqa: S104
    assert command.words.count("--port") == command.words.count("--served-model-name") == 1
    assert "mix" not in command.words
    assert (command.port, command.url) == (9000, "http://127.0.0.1:9000")


@pytest.mark.parametrize("arguments, port", [
    (["--port", "9001"], 9001), (["--port=9002"], 9002), (["--port", "1", "--port=9003"], 9003), (["--port"], 9000),
])  # fmt: skip
def test_arguments_come_last_and_win(arguments: list[str], port: int) -> None:
    command = made({"port": 9000}, arguments)
    assert command.words[-len(arguments) :] == tuple(arguments)
    assert command.port == port


@pytest.mark.parametrize("text", ["abc", "0", "-1", "65536", "99999999999", "8000.5", "", "٣"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidPort, match="from 1 to 65535") as caught:
        made(arguments=["--port", text])
    assert caught.value.exit_code == 2 and repr(text) in str(caught.value)


@pytest.mark.parametrize("host, url", [
    ("::1", "http://[::1]:8000"), ("::", "http://[::1]:8000"), ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104
    ("localhost", "http://localhost:8000"), ("fe80::2", "http://[fe80::2]:8000"),
])  # fmt: skip
def test_the_url_of_each_kind_of_host(host: str, url: str) -> None:
    assert made({"host": host}).url == url


def test_the_shell_line_can_be_typed_as_it_stands() -> None:
    command = ServeCommand(words=("python", "-c", "it's $HOME; x"), environment={"A": "b c"}, host="h", port=1)
    assert command.shell_line() == """A='b c' python -c 'it'"'"'s $HOME; x'"""


@pytest.mark.parametrize("words", [
    ["--load-format", "dummy"], ["--load_format", "dummy"], ["--load-format=dummy"], ["--load-fo", "auto"],
    ["--quantization", "fp8"], ["--quantization=None"], ["-q", "awq"], ["--quantiz", "fp8"], ["--model", "other"],
    ["--seed", "1", "--model=other"], ["--quantization"],
])  # fmt: skip
def test_arguments_that_would_load_something_else_are_refused_before_the_start(words: list[str]) -> None:
    with pytest.raises(TakenArgument, match=r"the mix file's.*\n  try: leave it out") as caught:
        made(arguments=words)
    assert caught.value.argument in "".join(words)


@pytest.mark.parametrize("serve", [{"load_format": "dummy"}, {"quantization": "fp8"}, {"model": "other"}])
def test_so_are_those_of_the_serve_section(serve: dict[str, object]) -> None:
    with pytest.raises(TakenArgument, match=next(iter(serve))):
        made(serve)


def test_arguments_that_only_look_like_them_pass() -> None:
    words = [
        "--model-impl", "vllm", "--load-format", "mixprec", "--quantization=mixprec", "--model-loader-extra-config", "{}",
        "--quantization-config", "x", "--load", "y",
    ]  # fmt: skip
    assert made(arguments=words).words[-len(words) :] == tuple(words)
