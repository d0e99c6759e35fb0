"""Read-ahead asks for planned bytes only, in the order of their use, and never far beyond what was used."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mixprec_runtime.loading import readahead
from mixprec_runtime.loading.readahead import PIECE, ReadAhead, Span


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(readahead, "_ask", lambda descriptor, piece: found.append((piece.begin, piece.end)))
    return found


def wait_for(asked: list[tuple[int, int]], count: int) -> None:
    deadline = time.monotonic() + 10
    while len(asked) < count and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(asked) == count


def test_spans_are_asked_for_in_order_and_neighbours_at_once(tmp_path: Path, asked: list[tuple[int, int]]) -> None:
    file = tmp_path / "x"
    file.touch()
    spans = [(0, 100), (100, 300), (310, 320), (9000, 9500), (50, 60)]
    with ReadAhead(Span(file=file, begin=begin, end=end) for begin, end in spans):
        wait_for(asked, 3)
    assert asked == [(0, 320), (9000, 9500), (50, 60)]


def test_large_spans_are_asked_for_in_pieces(tmp_path: Path, asked: list[tuple[int, int]]) -> None:
    (tmp_path / "x").touch()
    with ReadAhead([Span(file=tmp_path / "x", begin=5, end=5 + 2 * PIECE + 1)]):
        wait_for(asked, 3)
    assert asked == [(5, 5 + PIECE), (5 + PIECE, 5 + 2 * PIECE), (5 + 2 * PIECE, 6 + 2 * PIECE)]


def test_nothing_far_ahead_is_asked_for_before_what_comes_first_was_used(
    tmp_path: Path, asked: list[tuple[int, int]]
) -> None:
    (tmp_path / "x").touch()
    spans = [Span(file=tmp_path / "x", begin=at * 10000, end=at * 10000 + 100) for at in range(10)]
    with ReadAhead(spans, window=250) as ahead:
        wait_for(asked, 3)
        time.sleep(0.02)
        assert len(asked) == 3
        ahead.used(300)
        wait_for(asked, 6)
    assert len(asked) == 6


def test_a_span_is_asked_for_before_it_is_reached(tmp_path: Path, asked: list[tuple[int, int]]) -> None:
    (tmp_path / "x").touch()
    spans = [Span(file=tmp_path / "x", begin=at * 10000, end=at * 10000 + 100) for at in range(20)]
    with ReadAhead(spans, window=50) as ahead:
        for at, span in enumerate(spans):
            ahead.reach(100)
            assert (span.begin, span.end) in asked and len(asked) <= at + 2
            ahead.used(100)
        ahead.reach(10**12)


def test_a_file_that_is_gone_is_left_to_whoever_reads_it(tmp_path: Path) -> None:
    with ReadAhead([Span(file=tmp_path / "gone", begin=0, end=10)]) as ahead:
        ahead.reach(10)
        ahead.used(10)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}" for number in range(20)]
    for file in files:
        file.write_bytes(b"x" * 10)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with ReadAhead(Span(file=file, begin=0, end=10) for file in files):
        pass
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
