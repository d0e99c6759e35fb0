"""Spans: few that cover what is wanted; a file over ranges reads like the file itself."""

from __future__ import annotations

import io
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mixprec_doctor.index.ranges import RangeFile, Span, missing_spans, plan_spans

SPANS = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(1, 200)).map(lambda pair: Span(pair[0], sum(pair))), max_size=30
)


def test_neighbours_become_one_span() -> None:
    assert plan_spans([Span(0, 10), Span(15, 20)], gap=5, most=100) == (Span(0, 20),)


def test_a_wide_gap_stays_unread() -> None:
    assert plan_spans([Span(0, 10), Span(16, 20)], gap=5, most=100) == (Span(0, 10), Span(16, 20))


def test_a_span_does_not_grow_beyond_the_most() -> None:
    assert plan_spans([Span(0, 10), Span(10, 20), Span(20, 30)], gap=5, most=20) == (Span(0, 20), Span(20, 30))


@given(wanted=SPANS, gap=st.integers(0, 100), most=st.integers(1, 1000))
def test_planned_spans_cover_all_that_is_wanted(wanted: list[Span], gap: int, most: int) -> None:
    planned = plan_spans(wanted, gap=gap, most=most)
    bytes_planned = {at for span in planned for at in range(*span)}
    assert {at for span in wanted for at in range(*span)} <= bytes_planned
    assert len(planned) <= len(wanted)
    assert all(span.end - span.start <= max(most, 200) for span in planned)
    assert list(planned) == sorted(planned)


@given(wanted=SPANS, gap=st.integers(0, 100))
def test_no_planned_span_holds_a_hole_wider_than_the_gap(wanted: list[Span], gap: int) -> None:
    needed = {at for span in wanted for at in range(*span)}
    for span in plan_spans(wanted, gap=gap, most=10**6):
        inside = sorted(at for at in needed if span.start <= at < span.end)
        assert all(after - before <= gap + 1 for before, after in pairwise(inside))


@given(wanted=st.tuples(st.integers(0, 300), st.integers(0, 300)), kept=SPANS)
def test_missing_is_what_is_wanted_and_not_kept(wanted: tuple[int, int], kept: list[Span]) -> None:
    span = Span(min(wanted), max(wanted))
    disjoint = list(plan_spans(kept, gap=0, most=10**6))
    missing = [at for gap in missing_spans(span, disjoint) for at in range(*gap)]
    assert missing == [at for at in range(*span) if not any(start <= at < end for start, end in disjoint)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), st.integers(0, 600)),
        st.tuples(st.just("end"), st.integers(0, 400)),
        st.tuples(st.just("read"), st.integers(-1, 200)),
        st.tuples(st.just("fetch"), st.integers(0, 390)),
        st.tuples(st.just("forget"), st.just(0)),
    ),
    max_size=25,
)


@given(steps=STEPS, least=st.integers(1, 64), tail=st.integers(0, 400))
def test_a_range_file_reads_like_the_bytes_themselves(steps: list[tuple[str, int]], least: int, tail: int) -> None:
    contents = bytes(at * 31 % 251 for at in range(400))
    plain = io.BytesIO(contents)
    fetched: list[Span] = []

    def fetch(span: Span) -> bytes:
        assert 0 <= span.start < span.end <= len(contents)
        fetched.append(span)
        return contents[span.start : span.end]

    ranged = RangeFile(len(contents), fetch, least=least)
    ranged.keep(400 - tail, contents[400 - tail :])
    for step, number in steps:
        if step == "seek":
            assert ranged.seek(number) == plain.seek(number)
        elif step == "end":
            assert ranged.seek(-number, io.SEEK_END) == plain.seek(-number, io.SEEK_END)
        elif step == "read":
            assert ranged.read(number) == plain.read(number)
        elif step == "fetch":
            ranged.fetch([Span(number, number + 10)])
        else:
            ranged.forget()
        assert ranged.tell() == plain.tell()


def test_nothing_is_fetched_twice() -> None:
    contents, fetched = bytes(range(256)), []

    def fetch(span: Span) -> bytes:
        fetched.append(span)
        return contents[span.start : span.end]

    ranged = RangeFile(256, fetch, least=1)
    ranged.fetch([Span(10, 20), Span(30, 40)])
    ranged.seek(10)
    assert ranged.read(40) == contents[10:50]
    assert sorted(fetched) == [Span(10, 20), Span(20, 30), Span(30, 40), Span(40, 50)]
