"""Bars on standard error for what is counted: drawn on a terminal, a line now and then elsewhere."""

from __future__ import annotations

__all__ = ["Counting", "counted_bar"]

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 10.0
Counting = Callable[[int, int, str], None]  # how many are done, of how many, what is done now


@contextmanager
def counted_bar(first: str) -> Iterator[Counting]:
    """A bar that is gone at the end; ``first`` stands there until something is counted."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _lines()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left:"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(first, total=None)

        def count(done: int, total: int, now: str) -> None:
            bar.update(task, completed=done, total=total or None, description=now or first)

        yield count


def _lines() -> Counting:
    told = time.monotonic()

    def count(done: int, total: int, now: str) -> None:
        nonlocal told
        if time.monotonic() - told >= SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            sys.stderr.write(f"mixprec: {done} of {total} done, now {now}\n")

    return count
