"""The engine's log: whole lines as they come, and those that tell about a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixprec_runtime.launching.launch import ERROR_LINE
from mixprec_runtime.launching.logfile import REMEMBERED, TOLD, LogFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "engine.log"


def add(file: Path, text: str | bytes) -> None:
    with file.open("ab") as stream:
        stream.write(text if isinstance(text, bytes) else text.encode())


def telling(file: Path, text: str) -> tuple[str, ...]:
    add(file, text)
    return LogFile(file).telling(ERROR_LINE)


def test_a_log_that_is_not_there_has_no_lines(file: Path) -> None:
    assert list(LogFile(file).new_lines()) == [] and LogFile(file).telling(ERROR_LINE) == ()


def test_lines_come_once_and_only_when_they_are_whole(file: Path) -> None:
    log = LogFile(file)
    add(file, "one\ntw")
    assert list(log.new_lines()) == ["one"]
    assert list(log.new_lines()) == []
    add(file, "o\nthree\n")
    assert list(log.new_lines()) == ["two", "three"]


def test_carriage_returns_end_a_line_wherever_they_are_cut(file: Path) -> None:
    log = LogFile(file)
    add(file, "10 %\r20 %\r")
    assert list(log.new_lines()) == ["10 %", "20 %"]
    add(file, "\nnext\r")
    assert list(log.new_lines()) == ["next"]
    add(file, "\n\n  \n\r\nlast\r\n")
    assert list(log.new_lines()) == ["last"]


def test_a_character_that_is_written_in_two_steps_stays_whole(file: Path) -> None:
    log, text = LogFile(file), "grüße\n".encode()
    add(file, text[:3])
    assert list(log.new_lines()) == []
    add(file, text[3:])
    assert list(log.new_lines()) == ["grüße"]


def test_bytes_that_are_no_text_are_replaced(file: Path) -> None:
    add(file, b"\xff\xfe x\n")
    assert list(LogFile(file).new_lines()) == ["�� x"]


def test_a_line_longer_than_a_read_stays_one(file: Path) -> None:
    add(file, "x" * 2_500_000 + "\nend\n")
    assert [len(line) for line in LogFile(file).new_lines()] == [2_500_000, 3]


def test_lines_with_errors_tell_most(file: Path) -> None:
    found = telling(file, "hello\nINFO 01-01 [a.py:1] Error is my name\nValueError: no such thing\nbye\n")
    assert found == ("ValueError: no such thing",)


def test_an_error_of_mixprec_s_own_tells_more(file: Path) -> None:
    found = telling(
        file,
        "(EngineCore_0 pid=12) ValueError: outer\n"
        "(EngineCore_0 pid=12) mixprec_runtime.runfolder.RunFolderError: run folder x: has changed\n"
        "(EngineCore_0 pid=12) ERROR 01-01 10:00:00 [core.py:1] mixprec_runtime.runfolder.RunFolderError: run folder x: has changed\n",
    )
    assert found == ("mixprec_runtime.runfolder.RunFolderError: run folder x: has changed",)


def test_without_an_error_the_last_lines_tell(file: Path) -> None:
    found = telling(file, "".join(f"line {n}\n" for n in range(50)) + "INFO chatter\n")
    assert found == tuple(f"line {n}" for n in range(50 - TOLD, 50))


def test_last_words_without_a_line_s_end_are_heard(file: Path) -> None:
    assert telling(file, "starting\nFatal Python Error: Aborted") == ("Fatal Python Error: Aborted",)
    assert telling(file, "\nstarting\n  ") == ("Fatal Python Error: Aborted",)


def test_repeats_are_told_once(file: Path) -> None:
    assert telling(file, "(Worker pid=1) OSError: x\n(Worker pid=2) OSError: x\nOSError: x\n") == ("OSError: x",)


def test_what_was_read_before_still_tells(file: Path) -> None:
    log = LogFile(file)
    add(file, "MemoryError: early\n")
    list(log.new_lines())
    add(file, "quiet\n")
    assert log.telling(ERROR_LINE) == ("MemoryError: early",)


def test_only_the_latest_lines_are_remembered(file: Path) -> None:
    assert "KeyError: old" not in telling(file, "KeyError: old\n" + "x\n" * (REMEMBERED + 1))
