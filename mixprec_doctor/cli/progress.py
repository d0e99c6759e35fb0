"""Progress of reading many releases, on standard error."""

from __future__ import annotations

__all__ = ["release_progress"]

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
