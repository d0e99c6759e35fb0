"""Digests lie in the run folder, and are taken when they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_runtime.loading.digests import DIGESTS, digests_wanted, read_digests, write_digests


def test_digests_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert read_digests(tmp_path) is None
    write_digests(tmp_path, {"a": "00", "b": "11"})
    assert read_digests(tmp_path) == {"a": "00", "b": "11"}
    assert [file.name for file in tmp_path.iterdir()] == ["mixprec-digests.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tensors": 3}', "{}"])
def test_a_file_that_holds_none_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "mixprec-digests.json").write_text(text, encoding="utf-8")
    assert read_digests(tmp_path) is None


@pytest.mark.parametrize("value, wanted", [("1", True), ("on", True), ("", False), ("0", False)])
def test_digests_are_taken_when_asked_for(value: str, wanted: bool) -> None:
    assert digests_wanted({DIGESTS: value}) is wanted and digests_wanted({}) is False
