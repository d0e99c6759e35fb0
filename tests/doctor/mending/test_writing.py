"""Files before and after their repairs: what is written, and what of a file stays."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixprec_doctor.mending import MissingFixer, diff_of, plan_mending, write_mending
from mixprec_doctor.records.codefinding import CodeFinding, CodeReport, Repair
from tests.doctor.codereporting import found, report_of

pytest.importorskip("libcst")

TEXT = "from eng.a import X, Y\n"
AFTER = "from eng.a import Y\nfrom eng.b import X\n"
MOVED = Repair(kind="module", old="eng.a.X", new="eng.b.X", certain=True)


def moved(file: Path, repair: Repair = MOVED) -> CodeFinding:
    return found(file=str(file), line=1, column=19, end_column=20, source=TEXT.strip(), repair=repair)


def report(*files: Path) -> CodeReport:
    return report_of(*map(moved, files))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "x.py"
    file.write_text(TEXT)
    return file


def test_the_file_is_written_and_keeps_its_mode(file: Path) -> None:
    file.chmod(0o750)
    written = write_mending(plan_mending(report(file)))
    assert [each.file for each in written.files] == [str(file)] and not written.left
    assert file.read_text() == AFTER
    assert file.stat().st_mode & 0o777 == 0o750
    assert [each.name for each in file.parent.iterdir()] == ["x.py"]


def test_a_link_stays_one_and_what_it_leads_to_is_written(file: Path) -> None:
    link = file.with_name("link.py")
    link.symlink_to("x.py")
    write_mending(plan_mending(report(link)))
    assert link.is_symlink() and file.read_text() == AFTER


def test_what_is_not_certain_is_neither_written_nor_told_of(file: Path) -> None:
    for repair in (replace(MOVED, certain=False), Repair(kind="ladder", old="try", new="load", certain=True)):
        mending = plan_mending(report_of(moved(file, repair)))
        assert not mending.files and not mending.left


def test_a_notebook_is_left_alone(tmp_path: Path) -> None:
    place = replace(moved(tmp_path / "n.ipynb").place, cell=2)
    [left] = plan_mending(report_of(replace(moved(tmp_path / "n.ipynb"), place=place))).left
    assert "notebook" in str(left)


def test_a_file_that_went_away_is_left_alone(tmp_path: Path) -> None:
    [left] = plan_mending(report(tmp_path / "gone.py")).left
    assert "cannot be read any more" in left.reason


def test_a_file_that_changes_before_it_is_written_is_left_alone(file: Path) -> None:
    mending = plan_mending(report(file))
    file.write_text("from eng.a import X\n")
    [left] = write_mending(mending).left
    assert "has changed" in left.reason
    assert file.read_text() == "from eng.a import X\n"


def test_a_folder_that_cannot_be_written_to_leaves_the_file_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    mending = plan_mending(report(file))
    monkeypatch.setattr(os, "replace", refuse)
    [left] = write_mending(mending).left
    assert "Permission denied" in left.reason
    assert file.read_text() == TEXT and [each.name for each in file.parent.iterdir()] == ["x.py"]


def test_the_diff_can_be_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    contents = {"a.py": TEXT, "b.py": f"{TEXT}x = 1", "c.py": TEXT.strip(), "d.py": TEXT.replace("\n", "\r\n")}
    for name, text in contents.items():
        Path(name).write_bytes(text.encode())
    mending = plan_mending(report(*map(Path, contents)))
    assert {name: Path(name).read_bytes().decode() for name in contents} == contents
    subprocess.run(["git", "apply", "-"], input=diff_of(mending.files).encode(), check=True, cwd=tmp_path)
    applied = {name: Path(name).read_bytes() for name in contents}
    assert applied == {each.file: each.after for each in mending.files}


def test_without_libcst_the_error_says_what_to_install(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "libcst":
            raise ModuleNotFoundError("No module named 'libcst'", name="libcst")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "libcst")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingFixer, match="pip install libcst"):
        plan_mending(report(file))
