"""Read-ahead: the kernel is told which parts of which files come next, and the disk works while tensors are copied.

Only planned bytes are asked for. A fault in a mapped file would fetch what lies around it too, and wait for it.
"""

from __future__ import annotations

__all__ = ["ReadAhead", "Span"]

import contextlib
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

WINDOW = 256 << 20  # bytes that are asked for before they are used
PIECE = 256 << 10  # ... and in one call, of which kernels cut off what is more than they read ahead at most
GAP = 4096  # bytes between two spans that are fetched along with them: less than a page cannot be left out


@dataclass(frozen=True, kw_only=True)
class Span:
    """Bytes of a file that will be used."""

    file: Path
    begin: int
    end: int


class ReadAhead:
    """Asks for spans in the order in which they will be used, in a thread, as long as it is entered.

    Call ``reach`` before each span is touched, since a fault would fetch more than was asked for, and ``used`` after
    it. A system that cannot be asked is none the worse: the bytes come when they are used.
    """

    def __init__(self, spans: Iterable[Span], *, window: int = WINDOW) -> None:
        self._pieces = _pieces(_joined(spans))
        self._window = window
        self._used = 0
        self._asked = 0
        self._done = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="mixprec-read-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def reach(self, count: int) -> None:
        """Wait until the next so many bytes have been asked for, as far as the window reaches."""
        with self._changed:
            wanted = self._used + min(count, self._window)
            self._changed.wait_for(lambda: self._done or self._asked >= wanted)

    def used(self, count: int) -> None:
        """So many further bytes were used."""
        with self._changed:
            self._used += count
            self._changed.notify_all()

    def _run(self) -> None:
        opened, descriptor = None, -1
        try:
            for piece in self._pieces:
                with self._changed:
                    while not self._closed and self._asked > self._used + self._window:
                        self._changed.wait()
                    if self._closed:
                        return
                if piece.file != opened:
                    if descriptor >= 0:
                        os.close(descriptor)
                    descriptor, opened = os.open(piece.file, os.O_RDONLY | os.O_CLOEXEC), piece.file
                _ask(descriptor, piece)
                with self._changed:
                    self._asked += piece.end - piece.begin
                    self._changed.notify_all()
        except OSError:
            return  # whoever reads the file says what is wrong with it
        finally:
            if descriptor >= 0:
                os.close(descriptor)
            with self._changed:
                self._done = True
                self._changed.notify_all()


def _ask(descriptor: int, piece: Span) -> None:
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):  # a file system that takes no advice
            os.posix_fadvise(descriptor, piece.begin, piece.end - piece.begin, os.POSIX_FADV_WILLNEED)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Spans of one file that follow each other as one."""
    joined: list[Span] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last is not None and last.file == span.file and 0 <= span.begin - last.end < GAP:
            joined[-1] = Span(file=last.file, begin=last.begin, end=span.end)
        else:
            joined.append(span)
    return joined


def _pieces(spans: Sequence[Span]) -> list[Span]:
    return [
        Span(file=span.file, begin=at, end=min(at + PIECE, span.end))
        for span in spans
        for at in range(span.begin, span.end, PIECE)
    ]
