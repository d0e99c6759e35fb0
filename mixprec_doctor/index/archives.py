"""Wheels on an index as archives: from the cache what is there, the rest in few requests."""

from __future__ import annotations

__all__ = ["IndexArchive"]

import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise

from mixprec_doctor.index.connection import Connection
from mixprec_doctor.index.ranges import RangeFile, Span, open_remote, plan_spans
from mixprec_doctor.index.store import Store
from mixprec_doctor.index.urls import redact
from mixprec_doctor.records.release import Release
from mixprec_doctor.source.wheels import UnreadableWheel, ZipArchive, is_readable, refusal

# Files of a few hundred bytes lie scattered all over a wheel: a wider gap saves few requests for them and
# costs many bytes.
_GAP = 8 * 2**10
_MOST = 4 * 2**20
_AHEAD = 48 * 2**10
_LONGEST_HEADER = 30 + 2 * 2**16  # with name and extra field


class IndexArchive:
    """The files of a wheel on an index. Nothing is asked of a server that the cache knows."""

    def __init__(self, release: Release, *, connection: Connection, store: Store, tell: Callable[[str], None]) -> None:
        self._file = release.file
        self._connection = connection
        self._store = store
        self._tell = tell
        self._lock = threading.RLock()
        self._names: Mapping[str, int] | None = None
        self._contents: dict[str, bytes] = {}
        self._opened: tuple[ZipArchive, RangeFile | None, Mapping[str, Span]] | None = None

    @property
    def place(self) -> str:
        """The address of the wheel."""
        return redact(self._file.url)

    def names(self) -> Sequence[str]:
        """Every file of the wheel."""
        return tuple(self._listing())

    def read(self, path: str) -> bytes | None:
        """A file's contents; what lies beside it in the wheel and in the same folder comes along."""
        if path not in self._listing() or not is_readable(path):
            return None
        with self._lock:
            if path not in self._contents:
                self._contents |= self._store.members(self._file.key, [path])
            if path not in self._contents:
                self._fetch([path, *self._neighbours(path)])
            if path not in self._contents:  # refused or broken: asked for by name, it is an error
                return self._open()[0].read(path)
            return self._contents[path]

    def prefetch(self, paths: Iterable[str]) -> None:
        """Have these files at hand."""
        listing = self._listing()
        with self._lock:
            wanted = [path for path in dict.fromkeys(paths) if path in listing and is_readable(path)]
            wanted = [path for path in wanted if path not in self._contents]
            if wanted:
                self._contents |= self._store.members(self._file.key, wanted)
            if missing := [path for path in wanted if path not in self._contents]:
                self._fetch(missing)

    def close(self) -> None:
        """Let go of memory and files."""
        with self._lock:
            if self._opened:
                self._opened[0].close()
            self._opened = None
            self._contents.clear()

    def _listing(self) -> Mapping[str, int]:
        with self._lock:
            if self._names is None:
                self._names = self._store.listing(self._file.key)
            if self._names is None:
                members = self._open()[0].members
                self._names = {path: info.file_size for path, info in members.items()}
                self._store.keep_listing(self._file.key, self._names)
            return self._names

    def _fetch(self, paths: Sequence[str]) -> None:
        zipped, ranged, spans = self._open()
        wanted = [path for path in paths if path in zipped.members and not refusal(zipped.members[path])]
        found = {path: b"" for path in wanted if not zipped.members[path].file_size}
        # Of files with one checksum and size, e.g. a licence alone in an __init__, one is fetched.
        alike: dict[tuple[int, int], list[str]] = {}
        for path in wanted:
            if path not in found:
                info = zipped.members[path]
                alike.setdefault((info.CRC, info.file_size), []).append(path)
        if ranged is not None:
            known = (spans[first] for first, *_ in alike.values() if first in spans)
            ranged.fetch(plan_spans(known, gap=_GAP, most=_MOST))
        for first, *others in alike.values():
            with suppress(UnreadableWheel):  # it is an error once the file itself is asked for
                if (contents := zipped.read(first)) is not None:
                    found |= dict.fromkeys([first, *others], contents)
        if ranged is not None:
            ranged.forget()
        self._contents |= found
        self._store.keep_members(self._file.key, found)

    def _neighbours(self, path: str) -> Iterator[str]:
        """Unread source of the same folder, in one span of bounded length with it."""
        zipped, ranged, spans = self._open()
        if ranged is None or path not in spans:
            return
        folder = path.rpartition("/")[0]
        own = spans[path]
        first, last = own.start, own.end
        beside = [
            (span, other)
            for other, span in spans.items()
            if other != path and other.rpartition("/")[0] == folder and is_readable(other)
            and other not in self._contents and not refusal(zipped.members[other])
        ]  # fmt: skip
        for span, other in sorted(beside, key=lambda each: abs(each[0].start - own.start)):
            if max(span.end, last) - min(span.start, first) > _AHEAD:
                break
            first, last = min(span.start, first), max(span.end, last)
            yield other

    def _open(self) -> tuple[ZipArchive, RangeFile | None, Mapping[str, Span]]:
        if self._opened is None:
            wanted = self._file.filename
            stream, note = open_remote(self._connection, self._file.url, wanted=wanted, sha256=self._file.sha256)
            if note:
                self._tell(note)
            try:
                zipped = zipfile.ZipFile(stream)
            except (zipfile.BadZipFile, ValueError, NotImplementedError) as fault:
                stream.close()
                raise UnreadableWheel(self.place, str(fault)) from fault
            archive = ZipArchive(zipped, self.place)
            ranged = stream if isinstance(stream, RangeFile) else None
            self._opened = archive, ranged, _spans(archive, zipped.start_dir)
        return self._opened


def _spans(archive: ZipArchive, directory: int) -> dict[str, Span]:
    """From each file's header to the next one's, but no further than its own header and contents can reach."""
    starts = sorted({info.header_offset for info in archive.everything} | {directory})
    following = dict(pairwise(starts))
    spans = {
        path: Span(
            info.header_offset,
            min(
                following.get(info.header_offset, directory), info.header_offset + _LONGEST_HEADER + info.compress_size
            ),
        )
        for path, info in archive.members.items()
    }
    # An offset that lies is found out when the file is read.
    return {path: span for path, span in spans.items() if 0 <= span.start < span.end <= directory}
