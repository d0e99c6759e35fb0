"""A server with the part of the Hub's API that its library asks for: repositories are folders, files come by range."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "hf_secret"  # noqa: S105


@dataclass
class Hub:
    """Repositories by id, each a folder for each commit; what was asked for is noted."""

    repositories: dict[str, dict[str, Path]] = field(default_factory=dict)
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, range
    sent: dict[str, int] = field(default_factory=dict)  # bytes by file

    def push(self, repository: str, folder: Path, *, branch: str = "main") -> str:
        """Have a branch stand at a folder; returns the commit."""
        digest = hashlib.sha1(repository.encode(), usedforsecurity=False)
        for file in sorted(folder.iterdir()):
            digest.update(file.name.encode() + file.read_bytes())
        commit = digest.hexdigest()
        self.repositories.setdefault(repository, {})[commit] = folder
        self.branches[repository, branch] = commit
        return commit

    def commit(self, repository: str, revision: str) -> str | None:
        if revision in self.repositories.get(repository, {}):
            return revision
        return self.branches.get((repository, revision))

    def serve(self) -> ThreadingHTTPServer:
        """A running server on a port of its own."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._info(found[1], found[2] or "main")
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)(?:/.*)?", path):
            self._tree(found[1], found[2])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(found[1], found[2], found[3])
        else:
            self._send(404, b"no such page")

    def _folder(self, repository: str, revision: str) -> tuple[str, Path] | None:
        """The commit and folder; else the answer has been sent."""
        if repository not in self.hub.repositories:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return None
        if repository in self.hub.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, b"{}", {"X-Error-Code": "GatedRepo"})
            return None
        commit = self.hub.commit(repository, revision)
        if commit is None:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return None
        return commit, self.hub.repositories[repository][commit]

    def _info(self, repository: str, revision: str) -> None:
        if found := self._folder(repository, revision):
            commit, folder = found
            files = [{"rfilename": file.name} for file in sorted(folder.iterdir())]
            self._json({"_id": "1", "id": repository, "modelId": repository, "sha": commit, "siblings": files})

    def _tree(self, repository: str, revision: str) -> None:
        if found := self._folder(repository, revision):
            self._json([_entry(file) for file in sorted(found[1].iterdir())])

    def _file(self, repository: str, revision: str, name: str) -> None:
        found = self._folder(repository, revision)
        if found is None:
            return
        commit, folder = found
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if not (folder / name).is_file():
            self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
            return
        data = (folder / name).read_bytes()
        headers["ETag"] = f'"{hashlib.sha256(data).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is None:
            self._count(name, len(data))
            self._send(200, data, headers)
            return
        begin, end = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
        self._count(name, end + 1 - begin)
        self._send(206, data[begin : end + 1], {**headers, "Content-Range": f"bytes {begin}-{end}/{len(data)}"})

    def _count(self, name: str, size: int) -> None:
        if self.command == "GET":
            self.hub.sent[name] = self.hub.sent.get(name, 0) + size

    def _json(self, document: object) -> None:
        self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


def _entry(file: Path) -> dict[str, object]:
    data = file.read_bytes()
    entry: dict[str, object] = {
        "type": "file", "path": file.name, "size": len(data),
        "oid": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
    }  # fmt: skip
    if file.suffix == ".safetensors":
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry
