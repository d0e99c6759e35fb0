from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixprec_runtime.fitting.texts import UnusableText, builtin_text, read_text, windows_of

PARTS = st.lists(st.lists(st.integers(0, 9), max_size=40), max_size=6)


def test_the_two_built_in_texts_have_no_line_in_common() -> None:
    chosen_on, judged_by = (
        {line.strip() for part in builtin_text(judge=judge).parts for line in part.text.splitlines()}
        for judge in (False, True)
    )
    # what any two pieces of code share
    ordinary = {"", "}", ")", "],", '"""', "{"}
    assert chosen_on & judged_by <= ordinary
    assert len(chosen_on) > 50 < len(judged_by)


def test_built_in_texts_are_of_many_kinds_and_each_part_names_its_licence() -> None:
    for judge in (False, True):
        parts = builtin_text(judge=judge).parts
        kinds = {part.title.partition(":")[0].partition("-")[0] for part in parts}
        assert kinds == {
            "prose", "encyclopaedia", "code", "chat", "arithmetic", "french", "german", "spanish", "chinese",
        }  # fmt: skip
        assert {part.licence for part in parts} == {"public-domain", "apache-2.0"}


def test_a_digest_changes_with_the_words_only(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one.txt", "same.txt", "other.txt"))
    one.write_text("The cat sat.", encoding="utf-8")
    same.write_text("The cat sat.", encoding="utf-8-sig")
    other.write_text("The cat sits.", encoding="utf-8")
    assert read_text(one).digest == read_text(same).digest != read_text(other).digest
    assert read_text(one).name == "one.txt"
    assert builtin_text().digest != builtin_text(judge=True).digest


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"", "an empty file"),
        (b" \n\t\n", "white space"),
        (b"\x7fELF\x02\x01\x00\x00", "null bytes"),
        ("Ein Text".encode("utf-16"), "UTF-16"),
        (bytes(range(128, 256)), "no UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_with_what_was_found(tmp_path: Path, raw: bytes, found: str) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(raw)
    with pytest.raises(UnusableText, match=found) as refused:
        read_text(file)
    assert str(file) in str(refused.value)


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, found in ((tmp_path / "none.txt", "No such file"), (tmp_path, "directory")):
        with pytest.raises(UnusableText, match=found):
            read_text(path)


def test_a_stray_byte_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes("Die Größe".encode() + b"\xff der Datei")
    assert read_text(file).parts[0].text == "Die Größe\ufffd der Datei"


def test_windows_are_taken_from_the_parts_in_turn_and_ends_come_last() -> None:
    parts = [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10]]
    assert windows_of(parts, length=2, count=9) == [[1, 2], [6, 7], [8, 9], [3, 4], [5, 10]]


def test_a_text_shorter_than_a_window_is_one_window_unless_nothing_can_be_foreseen() -> None:
    assert windows_of([[1, 2], [3]], length=8, count=4) == [[1, 2, 3]]
    assert windows_of([[1]], length=8, count=4) == windows_of([], length=8, count=4) == []
    with pytest.raises(ValueError, match="at least 2"):
        windows_of([[1, 2]], length=1, count=1)


@given(PARTS, st.integers(2, 12), st.integers(0, 40))
def test_every_token_is_in_one_window_but_for_an_end_of_less_than_a_window(
    parts: list[list[int]], length: int, count: int
) -> None:
    numbered = [[(number, place) for place in range(len(part))] for number, part in enumerate(parts)]
    everything = [token for part in numbered for token in part]
    windows = windows_of(numbered, length=length, count=count)  # type: ignore[arg-type]
    used = [token for window in windows for token in window]
    assert len(windows) <= count
    assert len(set(used)) == len(used)
    assert set(used) <= set(everything)
    if len(everything) >= length:
        assert all(len(window) == length for window in windows)
        assert len(windows) == min(count, len(everything) // length)


@given(PARTS, st.integers(2, 12), st.integers(1, 40))
def test_fewer_windows_are_the_first_of_more(parts: list[list[int]], length: int, count: int) -> None:
    assert windows_of(parts, length=length, count=count) == windows_of(parts, length=length, count=count + 1)[:count]
