"""The command that serves a run folder on SGLang."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mixprec_runtime.adapters.sglang.command import serve_command
from mixprec_runtime.launching.arguments import InvalidPort, TakenArgument
from mixprec_runtime.launching.command import ServeCommand


def command(*arguments: str, plugins: bool = True, **serve: object) -> ServeCommand:
    return serve_command(Path("/run"), model_name="mix", serve=serve, arguments=arguments, plugins=plugins)


def after(found: ServeCommand, flag: str) -> list[str]:
    return [following for word, following in zip(found.words, found.words[1:], strict=False) if word == flag]


def test_a_release_with_plugins_is_started_by_its_own_door_and_no_flag_of_ours() -> None:
    found = command()
    assert found.words[:5] == (sys.executable, "-m", "sglang.launch_server", "--model-path", "/run")
    assert not {"--load-format", "--quantization"} & set(found.words)


def test_a_release_without_plugins_is_started_by_ours() -> None:
    assert command(plugins=False).words[2] == "mixprec_runtime.adapters.sglang.server"


def test_it_listens_on_loopback_where_mixprec_always_does_and_under_the_mix_files_name() -> None:
    found = command()
    assert (found.host, found.port, found.url) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")
    assert after(found, "--served-model-name") == ["mix"]


@pytest.mark.parametrize(
    ("said", "value", "words"),
    [
        ("max_model_len", 4096, ("--context-length", "4096")),
        ("gpu-memory-utilization", 0.8, ("--mem-fraction-static", "0.8")),
        ("max_num_seqs", 8, ("--max-running-requests", "8")),
        ("tensor_parallel_size", 2, ("--tp-size", "2")),
        ("attention_backend", "triton", ("--attention-backend", "triton")),
        ("chunked-prefill-size", 512, ("--chunked-prefill-size", "512")),
    ],
)
def test_arguments_of_the_mix_file_are_said_in_sglangs_words(said: str, value: object, words: tuple[str, str]) -> None:
    assert after(command(**{said: value}), words[0]) == [words[1]]


def test_a_switch_that_is_off_is_left_out_since_sglang_has_no_word_for_it() -> None:
    assert "--disable-cuda-graph" in command(enforce_eager=True).words
    assert not [word for word in command(enforce_eager=False).words if "cuda-graph" in word or "eager" in word]


def test_what_is_typed_comes_last_and_wins() -> None:
    found = command("--port", "9001", "--host=0.0.0.0", port=9000)
    assert (found.host, found.port) == ("0.0.0.0", 9001)  # noqa: S104
    assert found.words[-3:] == ("--port", "9001", "--host=0.0.0.0")


@pytest.mark.parametrize(
    "words",
    [("--model-path", "/x"), ("--model", "/x"), ("--quantization=fp8",), ("--load-format", "dummy"),
     ("--quanti", "awq"), ("--torchao-config", "int4wo-128"), ("--modelopt-quant", "fp8")],
)  # fmt: skip
def test_arguments_that_would_load_something_else_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(TakenArgument, match="the engine would not load the plan"):
        command(*words)


def test_so_are_those_of_the_mix_file() -> None:
    with pytest.raises(TakenArgument):
        command(load_format="dummy")


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidPort, match="'zero'"):
        command("--port", "zero")


def test_where_a_user_names_the_plugins_mixprec_is_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SGLANG_PLUGINS", raising=False)
    assert command().environment == {}
    monkeypatch.setenv("SGLANG_PLUGINS", "mine, other")
    assert command().environment == {"SGLANG_PLUGINS": "mine,other,mixprec"}
    monkeypatch.setenv("SGLANG_PLUGINS", "mixprec,mine")
    assert command().environment == {}
