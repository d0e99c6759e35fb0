"""The table [tool.mixprec]: which file it is read from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_doctor.project.settings import InvalidSettings, Settings, find_settings

TABLE = """[tool.mixprec]
against = ["vllm>=0.20", "sglang"]
from = "vllm==0.20.0"
packages = "my_engine"
select = ["MP8"]
ignore = ["MP890"]
exclude = ["tests/data/*"]
strict = true
"""


def test_all_keys_are_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(TABLE)
    assert find_settings(tmp_path) == Settings(
        file=tmp_path / "pyproject.toml",
        against=("vllm>=0.20", "sglang"),
        from_="vllm==0.20.0",
        packages=("my_engine",),
        select=("MP8",),
        ignore=("MP890",),
        exclude=("tests/data/*",),
        strict=True,
    )


def test_the_nearest_file_with_the_table_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.mixprec]\nstrict = true\n")
    package = tmp_path / "packages" / "one"
    package.mkdir(parents=True)
    (package / "pyproject.toml").write_text("[project]\nname = 'mixprec-plugin'\n")
    (package / "x.py").touch()
    assert find_settings(package / "x.py").strict
    (package / "pyproject.toml").write_text("[tool.mixprec]\n")
    assert find_settings(package / "x.py") == Settings(file=package / "pyproject.toml")


def test_without_a_table_nothing_is_set(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nmixprec = 1\n")
    assert find_settings(tmp_path) == Settings()


def test_every_fault_is_told_at_once_with_near_names(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.mixprec]\nagainsst = []\nstrict = 'yes'\nfrom = 1\nselect = [1]\nzzz = 2\n"
    )
    with pytest.raises(InvalidSettings) as caught:
        find_settings(tmp_path)
    assert len(caught.value.faults) == 5
    words = str(caught.value)
    assert "unknown key 'againsst'; near: against" in words
    assert "unknown key 'zzz'; known: against, from, packages" in words
    assert "strict: wanted true or false, found 'yes'" in words
    assert "from: wanted a text such as 'vllm==0.10.2', found 1" in words
    assert "select: wanted a list of texts, found [1]" in words


@pytest.mark.parametrize(("content", "why"), [
    (b"[tool.mixprec\n", "no TOML"),
    (b"[tool.mixprec]\nselect = '\xff'\n", "no UTF-8"),
    (b"[tool]\nmixprec = 1\n", "wanted a table"),
    (b"mixprec = " + b"[" * 100_000, "no TOML"),
])  # fmt: skip
def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(InvalidSettings, match=why) as caught:
        find_settings(tmp_path)
    assert str(tmp_path) in str(caught.value)
