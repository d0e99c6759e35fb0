"""``mixprec matrix``."""

from __future__ import annotations

__all__ = ["matrix"]

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from mixprec_doctor.cli.options import write
from mixprec_doctor.index import find_releases
from mixprec_doctor.index.releases import usual_index
from mixprec_doctor.index.wheelfile import is_wheel_path, release_of_file
from mixprec_doctor.matrix import Progress, build_matrix
from mixprec_doctor.records.matrix import ReleaseRoles
from mixprec_doctor.records.release import Release
from mixprec_doctor.reports.matrices import FORMS, format_of, render_matrix
from mixprec_doctor.reports.page import Page, page_for
from mixprec_doctor.resolving.releases import read_release, recall_release

_SECONDS_BETWEEN_LINES = 10.0


@click.command()
@click.argument("requirements", nargs=-1, required=True, metavar="REQUIREMENT...")
@click.option(
    "--format", "form", type=click.Choice(list(FORMS)), help="By default what the suffix of -o says, or text."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to a file.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes that read; by default two a core.")
def matrix(*, requirements: tuple[str, ...], form: str | None, output: Path | None, jobs: int | None) -> int:
    """Show where every role lives in many releases, and what changed from each to the next.

    REQUIREMENT is PEP 508, 'vllm>=0.10' names every release in the range, or the path of a wheel. Nothing
    is installed. Exit code: 0 nothing got lost, 1 the newest release lacks a role that an earlier one had, 2
    misuse, 3 no release could be read.
    """
    with _progress() as progress:
        built = build_matrix(
            requirements,
            find=_find,
            read=read_release,
            recall=recall_release,
            workers=jobs,
            progress=progress,
        )
    for note in usual_index().notes:
        click.echo(f"mixprec: {note}", err=True)
    page = page_for(sys.stdout) if output is None else Page(width=100)
    write(render_matrix(built, form or format_of(output), page), output)
    return int(built.exit_code)


def _find(requirement: str) -> tuple[Release, ...]:
    return (release_of_file(Path(requirement)),) if is_wheel_path(requirement) else find_releases(requirement)


@contextmanager
def _progress() -> Iterator[Progress]:
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

        def progress(done: int, total: int, release: ReleaseRoles) -> None:
            bar.update(task, completed=done, total=total, description=f"{release.distribution} {release.version}")

        yield progress


def _lines() -> Progress:
    told = time.monotonic()

    def progress(done: int, total: int, release: ReleaseRoles) -> None:
        nonlocal told
        if time.monotonic() - told >= _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            click.echo(f"mixprec: {done} of {total} releases read", err=True)

    return progress
