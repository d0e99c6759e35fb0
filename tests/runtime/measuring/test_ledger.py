"""What was measured is there after any end of the process, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_runtime.measuring.ledger import Entry, Ledger


def test_entries_are_read_back_as_they_were_kept(tmp_path: Path) -> None:
    file = tmp_path / "new" / "ledger.jsonl"
    Ledger(file).add("a", Entry(change=0.25, nats=1e-7))
    Ledger(file).add("b", Entry(change=0.5, nats=None))
    found = Ledger(file)
    assert found.get("a") == Entry(change=0.25, nats=1e-7)
    assert found.get("b") == Entry(change=0.5, nats=None)
    assert found.get("c") is None


def test_the_last_entry_of_a_key_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.add("a", Entry(change=1.0, nats=None))
    ledger.add("a", Entry(change=1.0, nats=2.0))
    assert ledger.get("a") == Ledger(ledger.file).get("a") == Entry(change=1.0, nats=2.0)


def test_a_line_that_was_cut_off_is_passed_over_and_written_behind(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    Ledger(file).add("a", Entry(change=1.0, nats=2.0))
    file.write_text(file.read_text()[:-1] + '\n["b", 0.5, 0.')
    again = Ledger(file)
    assert again.get("b") is None
    again.add("c", Entry(change=3.0, nats=4.0))
    assert Ledger(file).get("a") == Entry(change=1.0, nats=2.0)
    assert Ledger(file).get("c") == Entry(change=3.0, nats=4.0)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_a_fault(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "ledger.jsonl"
    file.write_bytes(content)
    assert Ledger(file).get("a") is None
