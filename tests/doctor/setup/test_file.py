"""The setup file is written whole or not at all, and every way to be wrong is one clear error."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from mixprec_doctor.errors import ExitCode
from mixprec_doctor.records.environment import InstalledEngine
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.records.setup import Setup
from mixprec_doctor.setup import InvalidSetup, make_setup, read_setup, write_setup
from tests.doctor.setup.environments import choice, environment_of, install, layer, workload


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    site = tmp_path / "site-packages"
    install(site, "vllm", "0.32.0")
    of = layer(tmp_path / "fp8")
    finding = Finding(
        code="MP510", severity=Severity.WARNING, summary="s", remedy=Remedy(text="t", commands=("c",)), engine="vllm"
    )
    return make_setup(
        workload("mix.yaml", of),
        [choice(of, fault="raised")],
        environment=environment_of(site),
        engine=InstalledEngine(engine="vllm", version="0.32.0", distribution="vllm", root=str(site)),
        findings=[finding],
        seconds=2.5,
    )


def test_what_is_written_is_read_back(setup: Setup, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "setup.json"
    write_setup(setup, file)
    assert read_setup(file) == setup
    assert json.loads(file.read_text())["schema"] == "mixprec.setup/1"
    assert stat.S_IMODE(file.stat().st_mode) & stat.S_IRUSR
    assert [each.name for each in file.parent.iterdir()] == ["setup.json"]


def test_an_earlier_file_stays_when_the_new_one_cannot_be_written(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "setup.json"
    file.write_text("before")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mixprec_doctor.setup.file.os.fsync", full)
    with pytest.raises(InvalidSetup, match="No space left"):
        write_setup(setup, file)
    assert file.read_text() == "before"
    assert sorted(each.name for each in tmp_path.glob(".*json*")) == []


def test_the_engine_is_kept_from_kernels_that_failed(setup: Setup) -> None:
    found = setup.choices[0]
    assert found.passed_over == ("NativeKernel",)
    assert found.winner is not None
    assert found.winner.candidate == "portable w8"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"{", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "wanted the schema mixprec.setup/1, found none"),
        (b'{"schema": "mixprec.setup/2"}', "found mixprec.setup/2"),
        (b'{"schema": "mixprec.setup/1"}', "is not as mixprec.setup/1 says"),
        (b'{"schema": "mixprec.setup/1", "made": "", "engine": 1, "version": null, "workload": "", "ranks": 1,'
         b'"fingerprint": 3, "roles": [], "kernels": [], "findings": [], "seconds": 0}', "is not as"),
    ],
)  # fmt: skip
def test_what_is_no_setup_is_refused_in_words(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "setup.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidSetup) as caught:
        read_setup(file)
    assert words in str(caught.value)
    assert "mixprec doctor --verify --mix MIX --setup" in str(caught.value)
    assert caught.value.exit_code is ExitCode.MISUSE
