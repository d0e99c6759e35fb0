"""Progress and accounts in files: atomic, by rank, and no reason to fail."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from mixprec_runtime.loading import state
from mixprec_runtime.loading.state import ProgressFile, read_accounts, read_progress, state_folder, write_account
from mixprec_runtime.records.account import LoadAccount


def account(rank: int) -> LoadAccount:
    return LoadAccount(
        rank=rank, world_size=12, sources={}, parameters=0, parameter_bytes=0, held_bytes=0, grown_bytes=0,
        redundant=(), converted={}, layers=(), refused=(), faults=(), seconds=0.0,
    )  # fmt: skip


def test_accounts_come_in_the_order_of_ranks(tmp_path: Path) -> None:
    for rank in (10, 2, 0):
        write_account(tmp_path, account(rank))
    assert [found.rank for found in read_accounts(tmp_path)] == [0, 2, 10]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "account.rank0.json", "account.rank10.json", "account.rank2.json",
    ]  # fmt: skip


def test_a_second_account_takes_the_place_of_the_first(tmp_path: Path) -> None:
    write_account(tmp_path, account(0))
    write_account(tmp_path, account(0))
    assert len(read_accounts(tmp_path)) == 1


def test_progress_is_the_sum_over_ranks(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None
    ProgressFile(tmp_path, rank=0, total=100).add(100)
    ProgressFile(tmp_path, rank=1, total=50).add(10)
    assert read_progress(tmp_path) == (110, 150)


def test_progress_is_written_now_and_then_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []
    monkeypatch.setattr(state, "_replace", lambda file, text: writes.append(text))
    monkeypatch.setattr(state.time, "monotonic", lambda: 1000.0)
    progress = ProgressFile(tmp_path, rank=0, total=3)
    for _ in range(3):
        progress.add(1)
    assert writes == ["1 3", "3 3"]


def test_a_folder_that_cannot_be_written_stops_no_load(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path / "gone", rank=0, total=10)
    progress.add(1)
    progress.add(10)


@pytest.mark.parametrize("content", ["", "1", "a b", "1 2 3"])
def test_a_progress_file_that_is_none_counts_for_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "progress.rank0").write_text(content)
    assert read_progress(tmp_path) is None


def test_the_state_lies_where_the_launcher_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIXPREC_STATE_DIR", raising=False)
    assert state_folder(tmp_path) == tmp_path
    monkeypatch.setenv("MIXPREC_STATE_DIR", "/somewhere")
    assert state_folder(tmp_path) == Path("/somewhere")


def test_a_disk_that_takes_no_account_stops_no_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(file: Path, text: str, encoding: str) -> int:
        with file.open("w", encoding=encoding) as stream:
            stream.write(text[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with caplog.at_level(logging.WARNING, logger="vllm.mixprec"):
        assert write_account(tmp_path, account(0)) is None
    assert list(tmp_path.iterdir()) == [] and read_accounts(tmp_path) == ()
    assert "account.rank0.json cannot be written: No space left on device" in caplog.text
