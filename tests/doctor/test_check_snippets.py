"""The line of code in a report: carets stand in a terminal beneath exactly what is meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mixprec_doctor.reports.checks.snippets import snippet


def meant(source: str, words: str, *, width: int = 80) -> tuple[str, str]:
    """The snippet of some words of a line."""
    column = source.index(words) + 1
    return snippet(source, column, column + len(words), width=width)


def under(shown: tuple[str, str]) -> str:
    """What stands above the carets, column by column of a terminal."""
    text, carets = shown
    first, last = len(carets) - len(carets.lstrip()), len(carets)
    taken, at = "", 0
    for mark in text:
        if first <= at < last:
            taken += mark
        at += cell_len(mark)
    return taken


@pytest.mark.parametrize("source", [
    "from eng.a import X",
    "\tfrom eng.a import X",
    "x =\t1; from eng.a import X",
    "中文 = 1; from eng.a import X",
    "é = 'e\u0301 👩'; from eng.a import X  # 中",
    "\x0c\x1b[31mfrom eng.a import X",
])  # fmt: skip
def test_carets_stand_beneath_what_is_meant(source: str) -> None:
    assert under(meant(source, "eng.a")) == "eng.a"


def test_wide_characters_have_two_carets_each() -> None:
    assert meant("x(中文=1)", "中文")[1] == "  ^^^^"


def test_what_a_terminal_would_act_on_is_shown_as_a_mark() -> None:
    text, _ = snippet("x = '\x1b[31m\u202e\u2028'", 1, 2, width=80)
    assert text == "x = '\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}'"


def test_a_statement_that_goes_on_is_underlined_to_the_end_of_its_line() -> None:
    assert snippet("  X(a,  ", 3, None, width=80)[1] == "  ^^^^"


def test_a_place_without_length_still_has_a_caret() -> None:
    assert snippet("x", 2, 2, width=80)[1] == " ^"


@pytest.mark.parametrize("before", [0, 10, 300])
def test_a_long_line_is_cut_around_what_is_meant(before: int) -> None:
    shown = meant("a" * before + "eng.a" + "b" * 300, "eng.a", width=60)
    assert cell_len(shown[0]) <= 60
    assert under(shown) == "eng.a"
    assert shown[0].endswith("…") and shown[0].startswith("…") is (before == 300)


def test_what_is_wider_than_the_page_is_shown_from_its_beginning() -> None:
    text, carets = meant("x = " + "y" * 500, "y" * 500, width=40)
    assert cell_len(text) <= 40 and len(carets) <= 40
    assert "y" in under((text, carets))


@given(st.text(), st.integers(-3, 300), st.integers(-3, 300) | st.none(), st.integers(0, 120))
def test_any_line_and_any_place_give_one_line_and_its_carets(
    source: str, column: int, end: int | None, width: int
) -> None:
    text, carets = snippet(source, column, end, width=width)
    assert text.isprintable() or any(mark not in "\n\r\t\x1b" for mark in text)
    assert "\n" not in text and "\t" not in text and "\x1b" not in text
    assert set(carets.strip()) == {"^"}
