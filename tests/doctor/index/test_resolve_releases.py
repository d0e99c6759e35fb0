"""``mixprec resolve`` on releases of an index and on wheel files: nothing of them is installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mixprec_doctor import resolve as resolve_record
from mixprec_doctor.api import SeveralReleases
from mixprec_doctor.cli.lazy import run_command_line
from mixprec_doctor.cli.main import group
from mixprec_doctor.index import releases as index_releases
from mixprec_doctor.resolving.releases import Question
from tests.doctor.engines import VLLM
from tests.doctor.index.servers import IndexServer, make_wheel

Run = Callable[..., int]
GPTQ = "vllm/model_executor/layers/quantization/gptq.py"
QUANT = "vllm/model_executor/layers/quantization/__init__.py"
NEWER = {**VLLM, GPTQ: VLLM[GPTQ].replace("weight_bits", "w_bits")}
RENAMED = {
    **{path: text for path, text in NEWER.items() if path != GPTQ},
    GPTQ.replace("gptq.py", "auto_gptq.py"): NEWER[GPTQ].replace("GPTQConfig", "AutoGPTQConfig"),
    QUANT: VLLM[QUANT].replace("gptq import GPTQConfig", "auto_gptq import AutoGPTQConfig").replace(
        '"gptq": GPTQConfig', '"gptq": AutoGPTQConfig'
    ),
}  # fmt: skip

WHEELS = {
    f"vllm-{version}-py3-none-any.whl": make_wheel(files, name="vllm", version=version)
    for version, files in {"1.0": VLLM, "1.1": NEWER, "2.0": RENAMED}.items()
}


@pytest.fixture
def index(server: IndexServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexServer]:
    """An index with three releases of vLLM, which pip's settings name."""
    server.add_project("vllm", WHEELS)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    yield server
    for made in index_releases._USUAL.values():
        made.close()
    index_releases._USUAL.clear()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["mixprec", "resolve", *map(str, arguments)])
        return run_command_line(group, name="mixprec")

    return run


def test_a_release_answers_as_the_contract_says(
    index: IndexServer, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("vllm==1.1", "--symbol", "GPTQConfig", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert {key: document[key] for key in ("schema", "package", "version")} == {
        "schema": "mixprec.resolve/1", "package": "vllm", "version": "1.1",
    }  # fmt: skip
    (symbol,) = document["symbols"]
    (defined,) = symbol["defined"]
    assert defined["module"] == "vllm.model_executor.layers.quantization.gptq"
    assert [each["name"] for each in defined["parameters"]] == ["w_bits", "group_size"]
    assert [each["module"] for each in symbol["importable"]] == [
        "vllm.model_executor.layers.quantization", "vllm.model_executor.layers.quantization.gptq",
    ]  # fmt: skip


def test_a_range_lists_every_release_and_what_a_role_was_before(
    index: IndexServer, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("vllm>=1.0", "--role", "gptq.config", "--role", "fp8.config", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["version"] for each in document["releases"]] == ["1.0", "1.1", "2.0"]
    gptq, fp8 = zip(*(each["roles"] for each in document["releases"]), strict=True)
    assert [each["name"] for each in gptq] == ["GPTQConfig", "GPTQConfig", "AutoGPTQConfig"]
    assert [each["since"] for each in gptq] == ["1.0", "1.1", "2.0"]
    assert gptq[2]["formerly"] == "vllm.model_executor.layers.quantization.gptq.GPTQConfig"
    assert [each["since"] for each in fp8] == ["1.0", "1.0", "1.0"]


def test_a_symbol_that_is_gone_exits_with_one_and_names_the_nearest(
    index: IndexServer, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("vllm", "--symbol", "GPTQConfig") == 1
    out = capsys.readouterr().out
    assert "vllm 2.0" in out
    assert "nearest: vllm.model_executor.layers.quantization.auto_gptq.AutoGPTQConfig" in out


def test_what_was_found_out_is_kept_and_needs_no_network(
    index: IndexServer, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("vllm==2.0", "--format", "json") == 0
    first = capsys.readouterr().out
    index.asked.clear()
    assert run("vllm==2.0", "--format", "json", "--offline") == 0
    assert capsys.readouterr().out == first
    assert index.asked == []
    assert run("vllm==1.0", "--offline") == 3


def test_the_code_that_answers_is_part_of_what_answers_are_kept_under(
    index: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (release,) = index_releases.find_releases("vllm==1.0")
    Question()(release)
    assert Question().recall(release) is not None
    monkeypatch.setattr("mixprec_doctor.resolving.releases.reading_code", lambda: "other code")
    assert Question().recall(release) is None


def test_a_wheel_file_is_read_whatever_it_is_called(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("vllm-1.0-py3-none-any.whl", "altered.whl"):
        path = tmp_path / name
        path.write_bytes(make_wheel(VLLM, name="vllm"))
        assert run(path, "--role", "gptq.config") == 0
        assert "vllm 1.0" in capsys.readouterr().out


def test_a_broken_wheel_and_one_that_is_not_there_are_said(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "vllm-1.0-py3-none-any.whl"
    broken.write_bytes(b"no zip")
    assert run(broken) == 3
    assert str(broken) in capsys.readouterr().err
    assert run(tmp_path / "nowhere-1.0-py3-none-any.whl") == 2


def test_one_unreadable_release_does_not_end_the_others(
    index: IndexServer, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    index.add_project("vllm", {**WHEELS, "vllm-1.2-py3-none-any.whl": b"no zip at all"})
    assert run("vllm>=1.0", "--role", "fp8.config", "--format", "json") == 0
    captured = capsys.readouterr()
    assert [each["version"] for each in json.loads(captured.out)["releases"]] == ["1.0", "1.1", "2.0"]
    assert "vllm 1.2 could not be read" in captured.err


def test_the_function_reads_releases_too(index: IndexServer) -> None:
    assert resolve_record("gptq.config", release="vllm==1.1").parameters[0].name == "w_bits"
    with pytest.raises(SeveralReleases, match=r"1\.0, 1\.1, 2\.0"):
        resolve_record("gptq.config", release="vllm>=1")
