"""Progress of reading many releases, and of trying an environment, on standard error."""

from __future__ import annotations

__all__ = ["late_progress", "probe_progress", "release_progress"]

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

import click

_SECONDS_BETWEEN_LINES = 10.0


class Dated(Protocol):
    """Anything that is about one release."""

    @property
    def distribution(self) -> str | None:
        """The name on the index."""

    @property
    def version(self) -> str | None:
        """The version."""


Progress = Callable[[int, int, Dated], None]  # how many are done, of how many, the one just read


@contextmanager
def release_progress() -> Iterator[Progress]:
    """Progress on standard error: a bar on a terminal, a line now and then elsewhere."""
    if sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        yield _lines()


@contextmanager
def late_progress(*, after: float = 1.0) -> Iterator[Callable[[int, int], None]]:
    """How many releases are done, of how many. Nothing is shown, and nothing imported for it, in the first second."""
    shown: list[Progress] = []
    turn = threading.Lock()
    with ExitStack() as stack:

        def show() -> None:
            with turn:
                shown.append(stack.enter_context(release_progress()))

        def progress(done: int, total: int) -> None:
            with turn:
                for each in shown:
                    each(done, total, _Counted())

        timer = threading.Timer(after, show)
        timer.daemon = True
        timer.start()
        try:
            yield progress
        finally:
            timer.cancel()
            turn.acquire()  # a bar that is just being opened is closed too, and none is opened any more


class _Counted:
    """A release that is counted and not named."""

    distribution = "releases"
    version = "read"


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading releases", total=None)

        def progress(done: int, total: int, release: Dated) -> None:
            bar.update(task, completed=done, total=total, description=f"{release.distribution} {release.version}")

        yield progress


def _lines() -> Progress:
    told = time.monotonic()

    def progress(done: int, total: int, release: Dated) -> None:
        nonlocal told
        if time.monotonic() - told >= _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            click.echo(f"mixprec: {done} of {total} releases read", err=True)

    return progress


Trying = Callable[[int, int, object], None]  # how many are done, of how many, the one that is tried now


@contextmanager
def probe_progress() -> Iterator[Trying]:
    """What is tried now, on standard error: a line that changes on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _tried_lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (MofNCompleteColumn(), BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda done, total, tried: bar.update(task, completed=done, total=total, description=str(tried))


def _tried_lines() -> Trying:
    told = time.monotonic()

    def progress(done: int, total: int, tried: object) -> None:
        nonlocal told
        if time.monotonic() - told >= _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            click.echo(f"mixprec: {done} of {total} tried, now {tried}", err=True)

    return progress
