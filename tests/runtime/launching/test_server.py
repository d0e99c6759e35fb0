"""Questions to a server: health, ports and completions; answers that are none are said."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mixprec_runtime.launching.errors import PortInUse
from mixprec_runtime.launching.server import complete, free_port, healthy, listeners, port_fault, port_is_free


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A listener that gives every caller the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                with caller:
                    caller.recv(65536)
                    caller.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.0 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("answer, well", [
    (http(b""), True), (http(b"", "204 No Content"), False), (http(b"", "503 Busy"), False), (b"SSH-2.0-x\r\n", False),
    (b"", False),
])  # fmt: skip
def test_a_server_is_healthy_when_it_answers_200(answer: bytes, well: bool) -> None:
    with answering(answer) as url:
        assert healthy(url) is well


def test_nobody_is_not_healthy() -> None:
    assert not healthy(f"http://127.0.0.1:{free_port(0)}")
    assert not healthy("http://::1:8000")


def test_no_proxy_stands_before_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with answering(http(b"")) as url:
        assert healthy(url)


@pytest.mark.parametrize("answer, words", [
    (http(b"<html>"), "no JSON"), (http(b"[]"), "not an object"), (b"SSH-2.0-x\r\n", "no JSON"),
    (http(b"{}", "404 Not Found"), "404"), (http(b"\xff"), "no JSON"),
])  # fmt: skip
def test_an_answer_that_is_none_is_an_error_of_the_connection(answer: bytes, words: str) -> None:
    with answering(answer) as url, pytest.raises(OSError, match=words):
        complete(url, model="m", prompt="p", max_tokens=1)


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
        assert free_port(port) != port
    assert port_is_free("127.0.0.1", port) and free_port(port) == port


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid", "a..b", "x" * 300])
def test_a_host_that_is_not_ours_is_no_port_in_use(host: str) -> None:
    fault = port_fault(host, 8000)
    assert fault is not None and "cannot listen there" in fault
    assert "something listens" not in str(PortInUse(host, 8000, fault))


def test_a_port_in_use_names_another() -> None:
    assert "-- --port 8001" in str(PortInUse("127.0.0.1", 8000))
    assert "65536" not in str(PortInUse("127.0.0.1", 65535))


@pytest.mark.parametrize("host, asked", [
    ("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "localhost"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"),  # noqa: S104
    ("127.0.0.1", ""), ("::1", "::1"), ("::", "127.0.0.1"),
])  # fmt: skip
def test_who_listens_is_told_apart(host: str, asked: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        port = listener.getsockname()[1]
        assert listeners(asked, port, [os.getpid()]) == (1, 0)
        assert listeners(asked, port, []) == (0, 1)
        assert listeners(asked, port, [99999999]) == (0, 1)
    assert listeners(asked, port, [os.getpid()]) == (0, 0)


def test_a_listener_on_another_address_is_nobody_s_business() -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        assert listeners("127.0.0.1", listener.getsockname()[1], []) == (0, 0)


def test_processes_that_nobody_may_look_into_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(Path, "iterdir", refuse)
        assert listeners("127.0.0.1", listener.getsockname()[1], [1]) == (0, 0)
