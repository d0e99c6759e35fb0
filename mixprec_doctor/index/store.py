"""Store: what was read of indexes and wheels, kept in one SQLite file of the cache folder."""

from __future__ import annotations

__all__ = ["KeptPage", "Store"]

import contextlib
import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mixprec_doctor.cache import cache_folder
from mixprec_doctor.records.release import ReleaseFile

_NAME = "releases.sqlite"
_LAYOUT = 1  # the tables below; a file of another layout is set aside
_PATIENCE = 20.0  # seconds to wait for another process that writes
_TABLES = (
    "CREATE TABLE IF NOT EXISTS pages (url TEXT PRIMARY KEY, fetched REAL, etag TEXT, modified TEXT, files BLOB)",
    "CREATE TABLE IF NOT EXISTS listings (file TEXT PRIMARY KEY, names BLOB)",
    "CREATE TABLE IF NOT EXISTS members (file TEXT, path TEXT, contents BLOB, PRIMARY KEY (file, path)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, text BLOB)",
)
_AT_ONCE = 500  # SQLite's oldest limit on variables of one statement is 999

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class KeptPage:
    """What a project page listed, when it was fetched, and how to ask whether it still holds."""

    files: tuple[ReleaseFile, ...]
    fetched: float  # seconds since the epoch
    etag: str | None = None
    modified: str | None = None


class Store:
    """Pages, listings, file contents and answers, shared by all threads and processes.

    It never fails: without a folder to write to it keeps nothing, a file that is broken is set aside, and
    ``notes`` says so.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = (folder or cache_folder()) / _NAME
        self._local = threading.local()
        self._mending = threading.Lock()
        self._mended = 0  # how often; a thread's connection from before a mending is given up
        self.notes: list[str] = []

    def page(self, url: str) -> KeptPage | None:
        """The page of an address, however old."""
        row = self._row("SELECT files, fetched, etag, modified FROM pages WHERE url = ?", url)
        raw = _unpack_json(row[0]) if row else None
        if row is None or not isinstance(raw, list):
            return None
        files = tuple(ReleaseFile.from_json(each) for each in raw)
        return KeptPage(files=files, fetched=row[1], etag=row[2], modified=row[3])

    def keep_page(self, url: str, page: KeptPage) -> None:
        """Keep a page in place of an older one."""
        files = _pack(json.dumps([each.to_json() for each in page.files]))
        self._write(
            "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?)",
            [(url, page.fetched, page.etag, page.modified, files)],
        )

    def listing(self, file: str) -> dict[str, int] | None:
        """Names and sizes of what a wheel holds."""
        row = self._row("SELECT names FROM listings WHERE file = ?", file)
        raw = _unpack_json(row[0]) if row else None
        return raw if isinstance(raw, dict) else None

    def keep_listing(self, file: str, names: Mapping[str, int]) -> None:
        """Keep what a wheel holds."""
        self._write("INSERT OR REPLACE INTO listings VALUES (?, ?)", [(file, _pack(json.dumps(dict(names))))])

    def members(self, file: str, paths: Iterable[str]) -> dict[str, bytes]:
        """The contents of those files of a wheel that are kept."""
        found: dict[str, bytes] = {}
        wanted = list(paths)
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            rows = self._rows(
                f"SELECT path, contents FROM members WHERE file = ? AND path IN ({marks})",  # noqa: S608
                file, *part,
            )  # fmt: skip
            for path, contents in rows:
                with contextlib.suppress(zlib.error):
                    found[path] = zlib.decompress(contents)
        return found

    def keep_members(self, file: str, members: Mapping[str, bytes]) -> None:
        """Keep the contents of files of a wheel."""
        rows = [(file, path, zlib.compress(contents)) for path, contents in members.items()]
        self._write("INSERT OR REPLACE INTO members VALUES (?, ?, ?)", rows)

    def answer(self, key: str) -> str | None:
        """What was computed before under that key."""
        row = self._row("SELECT text FROM answers WHERE key = ?", key)
        return _unpack(row[0]) if row else None

    def keep_answer(self, key: str, text: str) -> None:
        """Keep what was computed; the key must name everything that it follows from."""
        self._write("INSERT OR REPLACE INTO answers VALUES (?, ?)", [(key, _pack(text))])

    def close(self) -> None:
        """Close this thread's connection; a later question opens another."""
        connection = getattr(self._local, "connection", None)
        if connection is not None and self._local.process == os.getpid():
            connection.close()
        self._local.connection = self._local.process = None

    def _row(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        return next(iter(self._rows(statement, *values)), None)

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._use(lambda connection: connection.execute(statement, values).fetchall(), otherwise=[])

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            if not self._local.reading:
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(statement, rows)

        self._use(write, otherwise=None)

    def _use(self, work: Callable[[sqlite3.Connection], Value], *, otherwise: Value) -> Value:
        """What the work gives, once more after mending; what goes wrong is told and never raised."""
        for _ in range(2):
            try:
                connection = self._connection()
                return work(connection) if connection is not None else otherwise
            except sqlite3.OperationalError as fault:  # a full disk, or locked for too long
                self._tell(f"the cache {self._file} was not used: {fault}")
                break
            except sqlite3.DatabaseError as fault:
                self._set_aside(str(fault))
        return otherwise

    def _connection(self) -> sqlite3.Connection | None:
        local = self._local
        # A connection must not cross a fork.
        if getattr(local, "process", None) != os.getpid() or local.made != self._mended:
            local.process, local.reading, local.made = os.getpid(), False, self._mended
            local.connection = None
            local.connection = self._open()
        found: sqlite3.Connection | None = local.connection
        return found

    def _open(self) -> sqlite3.Connection | None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            return self._open_for_writing()
        except (OSError, sqlite3.OperationalError) as fault:
            reason = str(fault)
        try:
            self._local.reading = True
            connection = sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
            connection.execute("SELECT 1 FROM answers LIMIT 1")
        except (OSError, sqlite3.OperationalError):
            self._tell(f"without a cache: {self._file}: {reason}")
            return None
        self._tell(f"the cache {self._file} can be read and not written: {reason}")
        return connection

    def _open_for_writing(self) -> sqlite3.Connection:
        until = time.monotonic() + _PATIENCE
        while True:
            connection = sqlite3.connect(self._file, timeout=_PATIENCE, isolation_level=None)
            try:
                _prepare(connection)
            except BaseException as fault:
                connection.close()
                # SQLite does not wait for its lock while it changes to WAL.
                if "locked" not in str(fault) or time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return connection

    def _set_aside(self, fault: str) -> None:
        """Move a broken file out of the way, once even when many find it broken."""
        with self._mending:
            self.close()
            self._mended += 1
            before = _identity(self._file)
            if self._is_sound():
                return
            aside = self._file.with_name(f"{_NAME}.broken-{time.time_ns()}")
            if before != _identity(self._file):
                return  # another process was quicker
            with contextlib.suppress(OSError):
                self._file.rename(aside)
                for suffix in ("-wal", "-shm"):
                    self._file.with_name(_NAME + suffix).unlink(missing_ok=True)
        self._tell(f"the cache {self._file} was broken ({fault}) and is set aside as {aside.name}")

    def _is_sound(self) -> bool:
        try:
            with contextlib.closing(self._open_for_writing()) as connection:
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                return bool(verdict == "ok")
        except (OSError, sqlite3.DatabaseError):
            return False

    def _tell(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _prepare(connection: sqlite3.Connection) -> None:
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    if layout not in (0, _LAYOUT):
        raise sqlite3.DatabaseError(f"its layout is {layout}, this release of mixprec knows {_LAYOUT}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if layout == 0:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA user_version = {_LAYOUT}")


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _pack(text: str) -> bytes:
    return zlib.compress(text.encode())


def _unpack(packed: bytes) -> str | None:
    try:
        return zlib.decompress(packed).decode()
    except (zlib.error, UnicodeDecodeError):
        return None


def _unpack_json(packed: bytes) -> object:
    try:
        return json.loads(_unpack(packed) or "null")
    except ValueError:
        return None
