"""Path files of any content are read, never run, and never break the reading."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.environment.pathfiles import PathFile, read_path_file, read_path_files


@given(st.binary(max_size=200))
def test_any_bytes_are_a_path_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("pth") / "any.pth"
    file.write_bytes(content)
    assert isinstance(read_path_file(file), PathFile)


@given(st.sampled_from(["MAPPING = {'a': '/b'}", "MAPPING = f()", "MAPPING = [1]", "MAPPING = {1: 2}", "(", "\0"]))
def test_any_finder_is_read_as_far_as_it_is_literal(tmp_path_factory: pytest.TempPathFactory, source: str) -> None:
    folder = tmp_path_factory.mktemp("finder")
    (folder / "__editable___a_finder.py").write_text(source)
    (folder / "a.pth").write_text("import __editable___a_finder; __editable___a_finder.install()")
    found = [(each.package, each.path) for each in read_path_file(folder / "a.pth").editables]
    assert found == ([("a", "/b")] if source == "MAPPING = {'a': '/b'}" else [])


def test_hidden_files_and_missing_folders_add_nothing(tmp_path: Path) -> None:
    (tmp_path / ".hidden.pth").write_text(str(tmp_path))
    assert read_path_files(tmp_path) == ()
    assert read_path_files(tmp_path / "no") == ()
