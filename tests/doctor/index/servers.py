"""A package index on this machine, with the faults that a test switches on, and the tiny wheels it serves."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import re
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus


def make_wheel(
    files: Mapping[str, str | bytes],
    *,
    name: str = "engine",
    version: str = "1.0",
    metadata: str = "",
    points: str = "",
) -> bytes:
    """A wheel of some files and the metadata that every wheel has, in this order."""
    info = f"{name}-{version}.dist-info"
    members: dict[str, str | bytes] = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
        f"{info}/RECORD": "",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path, contents in members.items():
            zipped.writestr(path, contents)
    return stream.getvalue()


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class IndexServer:
    """Serves ``pages`` by path. Its fields are switches: set one, and the next answers follow it."""

    pages: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # content type and body
    redirects: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    suffixes: bool = True  # whether "the last bytes" are understood
    statuses: list[int] = field(default_factory=list)  # answered first, one by one
    truncations: int = 0  # bodies that end early
    password: tuple[str, str] | None = None
    etags: bool = False
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def add_project(
        self, project: str, files: Mapping[str, bytes], *, attributes: Mapping[str, str] | None = None
    ) -> None:
        """A project page in HTML, with hashes, and the files it links to."""
        links = []
        for name, contents in files.items():
            self.pages[f"/files/{name}"] = ("application/octet-stream", contents)
            extra = (attributes or {}).get(name, "")
            links.append(f'<a href="../../files/{name}#sha256={sha256(contents)}" {extra}>{name}</a>')
        self.pages[f"/simple/{project}/"] = ("text/html", f"<html><body>{''.join(links)}</body></html>".encode())

    def close_up(self) -> None:
        """No longer answer at all."""
        self._server.shutdown()
        self._server.server_close()

    def requests_for(self, path: str) -> list[Asked]:
        return [each for each in self.asked if each.path == path]

    def start(self) -> None:
        fields = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fields.answer(self)

            do_HEAD = do_GET

            def log_message(self, *args: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.asked.append(Asked(handler.command, handler.path, dict(handler.headers)))
        if self.statuses:
            _send(handler, self.statuses.pop(0), b"not now")
        elif self.password and handler.headers.get("Authorization") != _basic(*self.password):
            _send(handler, 401, b"who are you?")
        elif handler.path in self.redirects:
            _send(handler, 302, b"", Location=self.redirects[handler.path])
        elif handler.path not in self.pages:
            _send(handler, 404, b"no such page")
        else:
            self._send_page(handler, *self.pages[handler.path])

    def _send_page(self, handler: http.server.BaseHTTPRequestHandler, kind: str, body: bytes) -> None:
        headers = {"Content-Type": kind}
        if self.etags:
            headers["ETag"] = f'"{sha256(body)[:8]}"'
            if handler.headers.get("If-None-Match") == headers["ETag"]:
                _send(handler, 304, b"", **headers)
                return
        status = 200
        if self.ranges and (asked := handler.headers.get("Range")):
            span = _span(asked, len(body))
            if span is None or (not self.suffixes and "=-" in asked):
                _send(handler, 416, b"")
                return
            headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{len(body)}"
            status, body = 206, body[span[0] : span[1]]
        if self.truncations and handler.command == "GET":
            self.truncations -= 1
            _send(handler, status, body, shown=len(body) // 2, **headers)
            return
        _send(handler, status, body, **headers)


def sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def _span(asked: str, size: int) -> tuple[int, int] | None:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked)
    assert match
    if not match[1]:
        return max(size - int(match[2]), 0), size
    start = int(match[1])
    return (start, min(int(match[2]) + 1, size)) if start < size else None


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def _send(
    handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes, *, shown: int | None = None, **headers: str
) -> None:
    handler.send_response(status, HTTPStatus(status).phrase)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    if status != 304:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body if shown is None else body[:shown])
    if shown is not None:
        handler.close_connection = True
