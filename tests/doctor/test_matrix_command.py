"""`mixprec matrix` as a user types it, with an index made up for the test."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mixprec_doctor.cli import matrix as command
from mixprec_doctor.cli import progress
from mixprec_doctor.cli.lazy import run_command_line
from mixprec_doctor.cli.main import group
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.matrix import ReleaseRoles
from tests.doctor.engines import VLLM
from tests.doctor.matrices import FakeRelease, found, missing, release

Run = Callable[..., int]


class UnknownProject(MixprecError):
    exit_code = ExitCode.NOTHING_EXAMINED

    def __str__(self) -> str:
        return "no project of that name"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> dict[str, ReleaseRoles]:
    """Releases that the index has, by version; what a requirement names is all of them."""
    releases: dict[str, ReleaseRoles] = {}

    def find(requirement: str) -> list[FakeRelease]:
        if not releases:
            raise UnknownProject
        return [FakeRelease(version=each) for each in releases]

    monkeypatch.setattr(command, "find_each", find)
    monkeypatch.setattr(command, "recall_release", lambda _: None)
    monkeypatch.setattr(command, "read_release", lambda each: releases[each.version])
    return releases


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("MIXPREC_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["mixprec", "matrix", *map(str, arguments)])
        return run_command_line(group, name="mixprec")

    return run


def test_standard_output_is_the_document_alone(
    index: dict[str, ReleaseRoles], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    index["1.0"] = release("1.0", found())
    assert run("vllm", "--jobs", "1", "--format", "json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["schema"] == "mixprec.matrix/1"
    assert captured.err == ""


def test_a_role_lost_exits_with_one_and_nothing_read_with_three(index: dict[str, ReleaseRoles], run: Run) -> None:
    index |= {"1.0": release("1.0", found()), "2.0": release("2.0", missing())}
    assert run("vllm", "--jobs", "1") == 1
    index |= {each: release(each, faults=["503"]) for each in index}
    assert run("vllm", "--jobs", "1") == 3


@pytest.mark.parametrize("name, begins", [
    ("m.html", "<!doctype html>"), ("m.md", "### mixprec matrix"), ("m.json", '{"schema":'), ("m.txt", "vllm 1.0"),
])  # fmt: skip
def test_the_suffix_of_the_file_chooses_the_form(
    index: dict[str, ReleaseRoles], run: Run, tmp_path: Path, name: str, begins: str
) -> None:
    index["1.0"] = release("1.0", found())
    assert run("vllm", "--jobs", "1", "-o", tmp_path / name) == 0
    assert (tmp_path / name).read_text().startswith(begins)
    assert run("vllm", "--jobs", "1", "-o", tmp_path / name, "--format", "text") == 0
    assert (tmp_path / name).read_text().startswith("vllm 1.0")


def test_misuse_is_said(run: Run, index: dict[str, ReleaseRoles], capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert run("vllm", "--jobs", "0") == 2
    assert run("vllm", "--format", "pdf") == 2
    assert capsys.readouterr().out == ""


def test_an_error_of_the_index_keeps_its_exit_code(
    run: Run, index: dict[str, ReleaseRoles], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("nonsense") == 3
    assert "no project of that name" in capsys.readouterr().err


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(
    index: dict[str, ReleaseRoles], run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    index |= {"1.0": release("1.0", found()), "2.0": release("2.0", found())}
    assert run("vllm", "--jobs", "1", "--format", "json") == 0
    assert capsys.readouterr().err.splitlines()[-1] == "mixprec: 2 of 2 releases read"


def test_an_interruption_exits_with_130(
    index: dict[str, ReleaseRoles], run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: FakeRelease) -> ReleaseRoles:
        raise KeyboardInterrupt

    index["1.0"] = release("1.0", found())
    monkeypatch.setattr(command, "read_release", interrupt)
    assert run("vllm", "--jobs", "1") == 130
    assert capsys.readouterr().err.strip() == "mixprec: interrupted"


def write_wheel(folder: Path, version: str, files: dict[str, str]) -> Path:
    path = folder / f"vllm-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(
            f"vllm-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n"
        )
        archive.writestr(f"vllm-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return path


def test_wheel_files_are_read_compared_and_remembered(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = "vllm/model_executor/layers/quantization/gptq.py"
    changed = {**VLLM, home: VLLM[home].replace("weight_bits: int, ", "weight_bits: int, new: int, ")}
    old, new = write_wheel(tmp_path, "1.0", VLLM), write_wheel(tmp_path, "2.0", changed)
    assert run(old, new, "--format", "json", "--jobs", "2") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    (engine,) = json.loads(captured.out)["engines"]
    row = next(each for each in engine["rows"] if each["role"] == "gptq.config")
    assert [(each["kind"], each["parameter"]) for each in row["cells"][1]["changes"]] == [("parameter_inserted", "new")]
    monkeypatch.setattr(command, "read_release", None)  # what is kept is not read again
    assert run(old, new, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["engines"] == [engine]


def test_a_wheel_without_an_engine_is_a_column_with_its_fault(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = write_wheel(tmp_path, "1.0", {"something/__init__.py": ""})
    assert run(empty, "--jobs", "1") == 3
    assert "1.0: " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["vllm-1.0-py3-none-any.whl", "nonsense.whl"])
def test_a_wheel_that_is_not_there_or_misnamed_is_misuse(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(tmp_path / name) == 2
    assert name in capsys.readouterr().err
