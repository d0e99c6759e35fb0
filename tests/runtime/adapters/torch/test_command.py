"""The embedded engine's command line: what a mix file says, what is refused, and a key that nobody can read."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from mixprec_doctor.environment.embedded import NEEDED, SERVING
from mixprec_runtime.adapters.torch.command import serve_command
from mixprec_runtime.adapters.torch.lacking import TorchLacks, refuse_lacking
from mixprec_runtime.adapters.torch.options import BadOption, ServerOptions, read_options
from mixprec_runtime.launching.arguments import TakenArgument
from mixprec_runtime.launching.command import ServeCommand


def made(serve: Mapping[str, object] | None = None, arguments: Sequence[str] = ()) -> ServeCommand:
    return serve_command(Path("/run"), model_name="mix", serve=serve or {}, arguments=arguments)


def read(command: ServeCommand) -> ServerOptions:
    """What the server makes of it."""
    return read_options(command.words[3:])


def test_the_whole_command() -> None:
    assert made().words == (
        sys.executable, "-m", "mixprec_runtime.adapters.torch.server", "/run", "--served-model-name", "mix", "--host",
        "127.0.0.1", "--port", "8000",
    )  # fmt: skip
    assert made().url == "http://127.0.0.1:8000"


def test_threads_wait_asleep_unless_somebody_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert made().environment == {"OMP_WAIT_POLICY": "passive"}
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert made().environment == {}


def test_a_mix_file_says_what_it_says_to_other_engines_and_arguments_win() -> None:
    serve = {"max_model_len": 512, "served-model-name": ["a", "b"], "tensor_parallel_size": 1, "port": 9000}
    found = read(made(serve, ["--port", "9001", "--dtype=float32"]))
    assert (found.max_model_len, found.served_model_name, found.port, found.dtype) == (512, ("a", "b"), 9001, "float32")
    assert made(serve, ["--port", "9001"]).port == 9001
    assert read(made({"context_length": 64})).max_model_len == 64  # as SGLang calls it


def test_what_is_for_the_memory_of_other_engines_is_left_aside_by_name() -> None:
    found = read(made({"gpu_memory_utilization": 0.9, "enforce_eager": True}))
    assert found.left_aside == ("gpu_memory_utilization", "enforce_eager")


@pytest.mark.parametrize(
    "serve, arguments, words",
    [
        ({"tensor_parallel_size": 2}, (), "wanted tensor_parallel_size 1, found 2"),
        ({}, ("-tp", "2"), "wanted tensor_parallel_size 1, found 2"),
        ({"pipeline_parallel_size": 2}, (), "wanted pipeline_parallel_size 1, found 2"),
        ({"port": 70000}, (), "wanted a port from 1 to 65535, found '70000'"),
        ({"max_model_len": 0}, (), "wanted a whole number of at least 1, found '0'"),
        ({"dtype": "int8"}, (), "invalid choice: 'int8'"),
        ({"trust_remote_code": True}, (), "unrecognized arguments: --trust-remote-code"),
        ({}, ("extra",), "unrecognized arguments: extra"),
    ],
)
def test_what_the_server_does_not_take_is_refused_before_it_is_started(
    serve: Mapping[str, object], arguments: Sequence[str], words: str
) -> None:
    with pytest.raises(BadOption, match=words.replace("(", r"\(")):
        made(serve, arguments)


@pytest.mark.parametrize("serve, arguments", [({"model": "x"}, ()), ({}, ("--quantization", "awq"))])
def test_another_model_is_refused(serve: Mapping[str, object], arguments: Sequence[str]) -> None:
    with pytest.raises(TakenArgument):
        made(serve, arguments)


@pytest.mark.parametrize(
    "serve, arguments",
    [({"api_key": "secret"}, ()), ({}, ("--api-key", "secret")), ({}, ("--api-key=secret", "--port", "9000"))],
)
def test_a_key_goes_where_others_do_not_read_it(
    serve: Mapping[str, object], arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = made(serve, arguments)
    assert "secret" not in " ".join(command.words)
    assert read(command).api_key is None
    for name, value in command.environment.items():
        monkeypatch.setenv(name, value)
    assert read(command).api_key == "secret"


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "transformers", "jinja2", "starlette"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in [*NEEDED, *SERVING]:  # one that is imported already counts as found, wherever it is
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(TorchLacks, match=r"lacks: uvicorn, transformers of release 5 or later\n.*mixprec\[torch\]"):
        refuse_lacking()
    (tmp_path / "transformers" / "core_model_loading.py").write_text("")
    (tmp_path / "uvicorn.py").write_text("")
    refuse_lacking()
