"""Defaults that changed between releases: read from the wheels of an index, nothing noted down beforehand."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Mapping

import pytest

from mixprec_doctor.index import Index
from mixprec_doctor.records.defaultchange import DefaultChange
from mixprec_doctor.resolving.defaults import changed_defaults
from tests.doctor.index.servers import IndexServer, make_wheel

Indexes = Callable[..., Index]


def serve(server: IndexServer, releases: Mapping[str, str], *, path: str = "vllm/fp8.py") -> None:
    """Releases whose ``Fp8Config`` takes these parameters."""
    server.add_project("vllm", {
        f"vllm-{version}-py3-none-any.whl": make_wheel(
            {"vllm/__init__.py": "", path: f"class Fp8Config:\n    def __init__(self, {parameters}): ...\n"},
            name="vllm", version=version,
        )
        for version, parameters in releases.items()
    })  # fmt: skip


def changes(index: Index, now: Mapping[str, str], installed: str = "0.4") -> tuple[DefaultChange, ...]:
    return changed_defaults("vllm.fp8", "Fp8Config", now, distribution="vllm", installed=installed, index=index)


def backwards(found: tuple[DefaultChange, ...]) -> list[tuple[str, str, str, str, str]]:
    return [(each.parameter, each.before, each.now, each.last, each.since) for each in found if not each.is_ahead]


def test_the_latest_change_is_told_with_the_releases_on_both_sides(server: IndexServer, index_of: Indexes) -> None:
    serve(server, {"0.1": "a=1, b=1", "0.2": "a=2, b=1", "0.3": "a=3, b=1", "0.4": "a=3, b=1", "0.5": "a=3, b=1"})
    assert backwards(changes(index_of(), {"a": "3", "b": "1"})) == [("a", "2", "3", "0.2", "0.3")]


def test_a_build_of_a_release_counts_as_that_release(server: IndexServer, index_of: Indexes) -> None:
    serve(server, {"0.3": "a=False", "0.4": "a=True"})
    for installed in ("0.4", "0.4+cpu"):
        assert backwards(changes(index_of(), {"a": "True"}, installed)) == [("a", "False", "True", "0.3", "0.4")]


def test_a_later_release_that_changes_it_is_told_as_one_to_come(server: IndexServer, index_of: Indexes) -> None:
    serve(server, {"0.3": "a=1", "0.4": "a=1", "0.5": "a=1", "0.6": "a=2"})
    (found,) = changes(index_of(), {"a": "1"})
    assert found == DefaultChange(parameter="a", before="1", now="2", last="0.5", since="0.6", is_ahead=True)


def test_parameters_that_come_or_lose_their_default_are_no_change(server: IndexServer, index_of: Indexes) -> None:
    serve(server, {"0.2": "a", "0.3": "b=1", "0.4": "a=1, b=1"})
    assert changes(index_of(), {"a": "1"}) == ()


def test_only_plain_values_are_compared(server: IndexServer, index_of: Indexes) -> None:
    serve(server, {"0.2": "a=make(), b=1", "0.3": "a=None, b=other()", "0.4": "a=made(), b=1"})
    assert changes(index_of(), {"a": "made()"}) == ()
    assert changes(index_of(), {"b": "1"}) == ()


def test_a_class_that_was_elsewhere_ends_the_search(server: IndexServer, index_of: Indexes) -> None:
    serve(server, {"0.3": "a=1", "0.4": "a=1"})
    old = make_wheel({"vllm/__init__.py": "", "vllm/old.py": ""}, name="vllm", version="0.2")
    older = make_wheel(
        {"vllm/__init__.py": "", "vllm/fp8.py": "class Fp8Config:\n    def __init__(self, a=2): ...\n"},
        name="vllm",
        version="0.1",
    )
    files = {path.rpartition("/")[2]: body for path, (_, body) in server.pages.items() if path.startswith("/files/")}
    server.add_project("vllm", {**files, "vllm-0.2-py3-none-any.whl": old, "vllm-0.1-py3-none-any.whl": older})
    assert changes(index_of(), {"a": "1"}) == ()


@pytest.mark.parametrize("broken", ["0.2.5", "0.3.5", "0.5"])
def test_a_release_that_cannot_be_read_does_not_hide_the_others(
    server: IndexServer, index_of: Indexes, broken: str
) -> None:
    serve(server, {"0.2": "a=1", "0.3": "a=2", "0.4": "a=2"})
    files = {path.rpartition("/")[2]: body for path, (_, body) in server.pages.items() if path.startswith("/files/")}
    server.add_project("vllm", {**files, f"vllm-{broken}-py3-none-any.whl": b"no zip at all"})
    assert backwards(changes(index_of(), {"a": "2"})) == [("a", "1", "2", "0.2", "0.3")]


def test_what_was_read_is_kept(server: IndexServer, index_of: Indexes) -> None:
    serve(server, {"0.3": "a=1", "0.4": "a=2"})
    first = changes(index_of(), {"a": "2"})
    server.asked.clear()
    assert changes(index_of(), {"a": "2"}) == first
    assert [each.path for each in server.asked if each.path.endswith(".whl")] == []


def test_an_index_that_says_nothing_gives_no_change(server: IndexServer, index_of: Indexes) -> None:
    assert changes(index_of(), {"a": "2"}) == ()
    serve(server, {"0.3": "a=1", "0.4": "a=2"})
    assert changes(index_of(), {"a": "2"}, installed="no version") == ()
    assert changes(index_of(index_url="http://127.0.0.1:9/simple", timeout=0.5), {"a": "2"}) == ()


def test_a_slow_server_is_not_waited_for(
    server: IndexServer, index_of: Indexes, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(server, {"0.2": "a=0", "0.3": "a=1", "0.4": "a=2"})
    gate, answer = threading.Event(), server.answer

    def slowly(handler: http.server.BaseHTTPRequestHandler) -> None:
        if "vllm-0.2" in handler.path:
            gate.wait(60)
            handler.close_connection = True  # so that nothing of it runs beside the tests that follow
            return
        answer(handler)

    monkeypatch.setattr(server, "answer", slowly)
    monkeypatch.setattr("mixprec_doctor.resolving.defaults._PATIENCE", 3.0)
    started = time.monotonic()
    assert backwards(changes(index_of(), {"a": "2"})) == [("a", "1", "2", "0.3", "0.4")]
    gate.set()
    assert time.monotonic() - started < 30
