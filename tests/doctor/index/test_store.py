"""The store keeps what it is given, for all threads and processes, and never stands in the way."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from mixprec_doctor.index.store import KeptPage, Store
from mixprec_doctor.records.release import ReleaseFile

FILE = ReleaseFile(distribution="engine", version="1.0", filename="engine-1.0-py3-none-any.whl", url="https://host/e")


def test_all_that_is_kept_comes_back_in_another_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    page = KeptPage(files=(FILE,), fetched=12.5, etag='"a"', modified=None)
    store.keep_page("https://host/simple/engine/", page)
    store.keep_listing("sha256:1", {"engine/__init__.py": 3})
    store.keep_members("sha256:1", {"engine/__init__.py": b"a=1", "engine/b.py": b""})
    store.keep_answer("key", "täxt")
    other = Store(tmp_path)
    assert other.page("https://host/simple/engine/") == page
    assert other.listing("sha256:1") == {"engine/__init__.py": 3}
    wanted = ["engine/__init__.py", "engine/b.py", "engine/c.py"]
    assert other.members("sha256:1", wanted) == {"engine/__init__.py": b"a=1", "engine/b.py": b""}
    assert other.answer("key") == "täxt"
    assert other.notes == []


def test_what_was_never_kept_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert (store.page("x"), store.listing("x"), store.answer("x")) == (None, None, None)
    assert store.members("x", ["a"]) == {}


def test_a_later_answer_replaces_an_earlier(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_answer("key", "one")
    store.keep_answer("key", "two")
    assert store.answer("key") == "two"


def test_more_files_than_a_statement_takes_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    many = {f"engine/m{number}.py": str(number).encode() for number in range(2500)}
    store.keep_members("f", many)
    assert store.members("f", many) == many


@pytest.mark.parametrize("rubbish", [b"not a database at all, " * 100, b"SQLite format 3\0" + bytes(range(256)) * 40])
def test_a_broken_file_is_set_aside_and_made_anew(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "releases.sqlite").write_bytes(rubbish)
    store = Store(tmp_path)
    assert store.answer("key") is None
    store.keep_answer("key", "text")
    assert store.answer("key") == "text"
    assert "set aside" in store.notes[0]
    assert [path.read_bytes() for path in tmp_path.glob("releases.sqlite.broken-*")] == [rubbish]


def test_a_file_that_breaks_while_it_is_open_is_set_aside(tmp_path: Path) -> None:
    first = Store(tmp_path)
    first.keep_members("f", {f"m{number}": os.urandom(3000) for number in range(200)})
    first.close()
    raw = bytearray((tmp_path / "releases.sqlite").read_bytes())
    raw[4096:] = bytes(len(raw) - 4096)
    (tmp_path / "releases.sqlite").write_bytes(raw)
    store = Store(tmp_path)
    store.members("f", [f"m{number}" for number in range(200)])
    store.keep_answer("key", "text")
    store.keep_answer("key", "text")
    assert store.answer("key") == "text"
    assert any("set aside" in note for note in store.notes)


def test_a_file_of_another_layout_is_set_aside(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "releases.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    store = Store(tmp_path)
    assert store.answer("key") is None
    store.keep_answer("key", "text")
    assert store.answer("key") == "text"
    assert "99" in store.notes[0]


def test_without_a_folder_to_write_to_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "cache")
    store.keep_answer("key", "text")
    assert store.answer("key") is None
    assert "without a cache" in store.notes[0]
    assert len(store.notes) == 1


def test_a_store_that_cannot_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Store(tmp_path)
    writer.keep_answer("key", "text")
    writer.close()

    def refused(self: Store) -> sqlite3.Connection:  # as root nothing is unwritable
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(Store, "_open_for_writing", refused)
    store = Store(tmp_path)
    assert store.answer("key") == "text"
    store.keep_answer("key", "other")
    assert store.answer("key") == "text"
    assert "can be read and not written" in store.notes[0]


def _fill(folder: str, number: int) -> list[str]:
    store = Store(Path(folder))
    for step in range(20):
        store.keep_answer(f"{number}-{step}", str(step))
    return store.notes


def test_many_threads_write_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.keep_answer(f"k{number}", str(number)), range(100)))
        assert list(pool.map(lambda number: store.answer(f"k{number}"), range(100))) == [str(n) for n in range(100)]
    assert store.notes == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_many_processes_write_at_once(tmp_path: Path, method: str) -> None:
    before = Store(tmp_path)
    before.keep_answer("before", "open")
    with ProcessPoolExecutor(3, mp_context=get_context(method)) as pool:
        notes = list(pool.map(_fill, [str(tmp_path)] * 3, range(3)))
    assert notes == [[], [], []]
    assert [before.answer(f"{number}-{step}") for number in range(3) for step in range(20)] == [
        str(step) for _ in range(3) for step in range(20)
    ]


def _fill_broken(folder: str) -> tuple[list[str], str | None]:
    store = Store(Path(folder))
    store.keep_answer("key", "text")
    store.keep_answer("key", "text")
    return store.notes, store.answer("key")


def test_processes_that_all_find_it_broken_mend_it_once(tmp_path: Path) -> None:
    (tmp_path / "releases.sqlite").write_bytes(b"rubbish " * 1000)
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        answers = list(pool.map(_fill_broken, [str(tmp_path)] * 8))
    assert Store(tmp_path).answer("key") == "text"
    assert {text for _, text in answers} == {"text"}
