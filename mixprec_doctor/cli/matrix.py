"""``mixprec matrix``."""

from __future__ import annotations

__all__ = ["matrix"]

import sys
from pathlib import Path

import click

from mixprec_doctor.cli.notes import tell_notes
from mixprec_doctor.cli.options import write
from mixprec_doctor.cli.progress import release_progress
from mixprec_doctor.index.requirements import find_each
from mixprec_doctor.matrix import build_matrix
from mixprec_doctor.reports.matrices import FORMS, format_of, render_matrix
from mixprec_doctor.reports.page import Page, page_for
from mixprec_doctor.resolving.releases import read_release, recall_release


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
    with release_progress() as progress:
        built = build_matrix(
            requirements,
            find=find_each,
            read=read_release,
            recall=recall_release,
            workers=jobs,
            progress=progress,
        )
    tell_notes()
    page = page_for(sys.stdout) if output is None else Page(width=100)
    write(render_matrix(built, form or format_of(output), page), output)
    return int(built.exit_code)
