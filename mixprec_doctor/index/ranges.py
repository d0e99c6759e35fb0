"""Ranges: a file on a server as a file that can be sought in, fetched piece by piece."""

from __future__ import annotations

__all__ = ["RangeFile", "Span", "missing_spans", "open_remote", "plan_spans"]

import hashlib
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, BinaryIO, NamedTuple, cast

from mixprec_doctor.index.connection import Answer, Connection
from mixprec_doctor.index.errors import ChangedFile, UnreachableIndex
from mixprec_doctor.index.urls import redact

_TAIL = 64 * 2**10  # the end record of a zip file, and all of the directory of a small one
_LEAST = 16 * 2**10  # a request costs more than these bytes
_MOST_READ = 32 * 2**20  # of one read: a directory of that size would list a quarter of a million files
_MOST_WHOLE = 8 * 2**30
_AT_ONCE = 8
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_NO_SUFFIX = frozenset({400, 405, 416, 501})  # how servers refuse "the last bytes"


class Span(NamedTuple):
    """Bytes from ``start`` up to ``end``, which is not of them."""

    start: int
    end: int


class RangeFile(io.RawIOBase):
    """A read-only file over a function that fetches a span; what was fetched is kept until ``forget``."""

    def __init__(self, size: int, fetch: Callable[[Span], bytes], *, least: int = _LEAST) -> None:
        super().__init__()
        self.size = size
        self._fetch = fetch
        self._least = least
        self._at = 0
        self._kept: list[tuple[Span, bytes]] = []  # in order, none over another

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, from the beginning, from here or from the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("seek before the beginning of the file")
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """All bytes asked for, but for those beyond the end."""
        end = self.size if size is None or size < 0 else min(self._at + size, self.size)
        span = Span(min(self._at, end), end)
        if span.end - span.start > _MOST_READ:
            raise ValueError(f"a read of {span.end - span.start} bytes at once")
        self._have(span)
        self._at = max(self._at, end)
        return self._cut(span)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def keep(self, start: int, contents: bytes) -> None:
        """Take in bytes that are known already."""
        known = [span for span, _ in self._kept]
        for gap in missing_spans(Span(start, start + len(contents)), known):
            self._kept.append((gap, contents[gap.start - start : gap.end - start]))
        self._kept.sort(key=lambda each: each[0])

    def fetch(self, spans: Iterable[Span]) -> None:
        """Have some spans at hand, several requests at a time."""
        gaps = [gap for span in spans for gap in missing_spans(span, (kept for kept, _ in self._kept))]
        if len(gaps) < 2:
            answers = [self._fetch(gap) for gap in gaps]
        else:
            with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
                answers = list(pool.map(self._fetch, gaps))
        for gap, contents in zip(gaps, answers, strict=True):
            self.keep(gap.start, contents)

    def forget(self) -> None:
        """Free the memory of what was fetched."""
        self._kept.clear()

    def _have(self, span: Span) -> None:
        if any(missing_spans(span, (kept for kept, _ in self._kept))):
            self.fetch([Span(span.start, min(max(span.end, span.start + self._least), self.size))])

    def _cut(self, wanted: Span) -> bytes:
        parts = [
            contents[max(wanted.start - span.start, 0) : wanted.end - span.start]
            for span, contents in self._kept
            if span.start < wanted.end and span.end > wanted.start
        ]
        return parts[0] if len(parts) == 1 else b"".join(parts)


def missing_spans(wanted: Span, kept: Iterable[Span]) -> Iterator[Span]:
    """What of a span is not covered by others, which come in order."""
    start = wanted.start
    for span in kept:
        if span.start >= wanted.end:
            break
        if span.end > start:
            if span.start > start:
                yield Span(start, span.start)
            start = span.end
    if start < wanted.end:
        yield Span(start, wanted.end)


def plan_spans(wanted: Iterable[Span], *, gap: int, most: int) -> tuple[Span, ...]:
    """Few spans that cover all that is wanted: neighbours less than ``gap`` apart become one, up to ``most`` bytes."""
    planned: list[Span] = []
    for span in sorted(wanted):
        last = planned[-1] if planned else None
        if last and span.start - last.end <= gap and max(span.end, last.end) - last.start <= most:
            planned[-1] = Span(last.start, max(span.end, last.end))
        else:
            planned.append(span)
    return tuple(planned)


def open_remote(
    connection: Connection, url: str, *, wanted: str, sha256: str | None = None
) -> tuple[IO[bytes], str | None]:
    """A file on a server, and a note where it had to be fetched whole because the server gives no ranges."""
    answer = _ask(connection, url, f"bytes=-{_TAIL}", wanted)
    if answer.status in _NO_SUFFIX:
        head = connection.head(url, wanted=wanted)
        size = int(head.headers.get("content-length", "0"))
        if head.status == 200 and size:
            answer = _ask(connection, url, f"bytes={max(size - _TAIL, 0)}-{size - 1}", wanted)
    if answer.status == 206:
        return cast("IO[bytes]", _ranged(connection, url, answer, wanted)), None
    if answer.status not in (200, *_NO_SUFFIX):
        raise UnreachableIndex(wanted, redact(url), f"it answered {answer.status}")
    stream = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115  the caller closes it
    try:
        connection.download(url, cast("BinaryIO", stream), wanted=wanted, limit=_MOST_WHOLE)
        _verify(stream, sha256, redact(url))
    except BaseException:
        stream.close()
        raise
    return stream, f"{redact(url)}: the server gives no ranges, so the whole file was fetched"


def _ranged(connection: Connection, url: str, tail: Answer, wanted: str) -> RangeFile:
    start, size = _range_of(tail, url)
    tag = tail.headers.get("etag")

    def fetch(span: Span) -> bytes:
        answer = _ask(connection, url, f"bytes={span.start}-{span.end - 1}", wanted, span.end - span.start)
        if answer.status != 206:
            raise UnreachableIndex(wanted, redact(url), f"it answered {answer.status} to a range")
        if _range_of(answer, url) != (span.start, size) or answer.headers.get("etag") != tag:
            raise ChangedFile(redact(url), "the file changed while it was read")
        if answer.body is None or len(answer.body) != span.end - span.start:
            raise ChangedFile(redact(url), "an answer of another length than was asked for")
        return answer.body

    file = RangeFile(size, fetch)
    file.keep(start, tail.body or b"")
    return file


def _ask(connection: Connection, url: str, span: str, wanted: str, limit: int = _TAIL) -> Answer:
    headers = {"Range": span, "Accept-Encoding": "identity"}
    return connection.get(url, wanted=wanted, limit=limit, headers=headers)


def _range_of(answer: Answer, url: str) -> tuple[int, int]:
    """Where the body of a partial answer begins, and the size of the whole."""
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", "").strip())
    if match is None or answer.body is None or int(match[2]) - int(match[1]) + 1 != len(answer.body):
        raise ChangedFile(redact(url), "a range that does not say what it is a range of")
    return int(match[1]), int(match[3])


def _verify(stream: IO[bytes], sha256: str | None, url: str) -> None:
    if sha256 is None:
        return
    stream.seek(0)
    digest = hashlib.sha256()
    while chunk := stream.read(2**20):
        digest.update(chunk)
    if digest.hexdigest() != sha256.lower():
        raise ChangedFile(url, f"its hash is {digest.hexdigest()}, the index says {sha256}")
