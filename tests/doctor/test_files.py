"""Files of a patient: nothing that lies there makes the reader wait or fill the memory."""

from __future__ import annotations

import os
from pathlib import Path

from mixprec_doctor.files import read_file, read_start
from mixprec_doctor.source import Sources
from mixprec_doctor.source.truth import Truth
from tests.doctor.conftest import FakeEnvironment


def test_a_regular_file_is_read_whole_up_to_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345678")
    assert read_file(file, most=8) == b"12345678"
    assert read_file(file, most=7) is None
    assert read_start(file, most=3) == b"123"


def test_what_is_no_regular_file_is_none_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    places = [tmp_path, tmp_path / "pipe", tmp_path / "loop", tmp_path / "absent", "/dev/zero", "a\0b"]
    assert [read_file(place, most=10) for place in places] == [None] * len(places)


def test_a_sparse_gigabyte_costs_only_what_was_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "huge"
    with file.open("wb") as stream:
        stream.truncate(2**30)
    assert read_file(file, most=1000) is None
    assert len(read_start(file, most=1000) or b"") == 1000


def test_a_module_compiled_for_another_python_is_not_there(fake: FakeEnvironment) -> None:
    modules = (
        "_old.cpython-39-x86_64-linux-gnu.so",
        "_new.cpython-311-x86_64-linux-gnu.so",
        "_any.abi3.so",
        "_bare.so",
    )
    fake.install("mixed", files={"mixed/__init__.py": "", **{f"mixed/{name}": b"" for name in modules}})
    sources = Sources.of_environment(fake.read())
    there = {name: sources.has_module(f"mixed.{name}") for name in ("_old", "_new", "_any", "_bare")}
    assert there == {"_old": Truth.NO, "_new": Truth.YES, "_any": Truth.YES, "_bare": Truth.YES}
