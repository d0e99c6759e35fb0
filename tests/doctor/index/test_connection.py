"""A connection tries again where that helps, and gives up in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mixprec_doctor.index import IndexSettings
from mixprec_doctor.index.connection import Connection
from mixprec_doctor.index.errors import UnreachableIndex
from tests.doctor.index.servers import IndexServer


@pytest.fixture
def connection() -> Iterator[Connection]:
    found = Connection(IndexSettings(retries=2, timeout=5.0), pause=0.0)
    yield found
    found.close()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(server: IndexServer, connection: Connection, status: int) -> None:
    server.pages["/a"] = ("text/plain", b"contents")
    server.statuses = [status, status]
    assert connection.get(f"{server.url}/a", wanted="it", limit=100).body == b"contents"
    assert len(server.asked) == 3


def test_after_all_tries_the_last_answer_is_told(server: IndexServer, connection: Connection) -> None:
    server.statuses = [503] * 9
    with pytest.raises(UnreachableIndex, match=r"503 Service Unavailable \(3 tries\)"):
        connection.get(f"{server.url}/a", wanted="it", limit=100)
    assert len(server.asked) == 3


def test_a_body_that_ends_early_is_fetched_again(server: IndexServer, connection: Connection) -> None:
    server.pages["/a"] = ("text/plain", b"contents" * 1000)
    server.truncations = 2
    assert connection.get(f"{server.url}/a", wanted="it", limit=10**6).body == b"contents" * 1000
    server.truncations = 3
    with pytest.raises(UnreachableIndex, match="3 tries"):
        connection.get(f"{server.url}/a", wanted="it", limit=10**6)


@pytest.mark.parametrize("status", [401, 403, 404, 416])
def test_what_would_not_get_better_is_an_answer_at_once(
    server: IndexServer, connection: Connection, status: int
) -> None:
    server.statuses = [status]
    assert connection.get(f"{server.url}/a", wanted="it", limit=100).status == status
    assert len(server.asked) == 1


def test_a_body_beyond_the_limit_is_left_unread(server: IndexServer, connection: Connection) -> None:
    server.pages["/a"] = ("text/plain", b"x" * 101)
    assert connection.get(f"{server.url}/a", wanted="it", limit=100).body is None
    server.pages["/a"] = ("text/plain", b"x" * 100)
    assert connection.get(f"{server.url}/a", wanted="it", limit=100).body == b"x" * 100


def test_words_of_a_failure_hold_no_credentials(connection: Connection) -> None:
    with pytest.raises(UnreachableIndex) as caught:
        connection.get("http://me:hunter2@127.0.0.1:9/simple", wanted="it", limit=1)
    assert "hunter2" not in str(caught.value) + repr(caught.value)
    assert "refused" in str(caught.value)


def test_a_proxy_that_is_not_there_is_told_as_such() -> None:
    connection = Connection(IndexSettings(proxy="http://me:hunter2@127.0.0.1:9", retries=0))
    with pytest.raises(UnreachableIndex, match=r"the proxy: .*refused") as caught:
        connection.get("https://pypi.invalid/simple", wanted="it", limit=1)
    assert "hunter2" not in str(caught.value)


def test_credentials_do_not_follow_a_redirect_to_another_host(server: IndexServer, connection: Connection) -> None:
    other = IndexServer()
    other.start()
    other.pages["/b"] = ("text/plain", b"there")
    server.redirects["/a"] = f"{other.url.replace('127.0.0.1', 'localhost')}/b"
    url = server.url.replace("//", "//me:hunter2@")
    assert connection.get(f"{url}/a", wanted="it", limit=100).body == b"there"
    other.close_up()
    assert "Authorization" in server.asked[0].headers
    assert "Authorization" not in other.asked[0].headers


def test_certificates_that_are_not_there_are_told_at_once() -> None:
    connection = Connection(IndexSettings(cert="/nowhere/ca.pem", retries=5))
    with pytest.raises(UnreachableIndex, match=r"/nowhere/ca\.pem"):
        connection.get("https://127.0.0.1:9/", wanted="it", limit=1)
    assert connection.requests == 1
