"""``mixprec doctor``."""

from __future__ import annotations

__all__ = ["doctor"]

import sys
from contextlib import nullcontext
from pathlib import Path

import click

from mixprec_doctor.cli.options import check_target, codes, no_collection, target_options, write
from mixprec_doctor.cli.progress import probe_progress, release_progress
from mixprec_doctor.environment.engines import ENGINES
from mixprec_doctor.examination import examine
from mixprec_doctor.reports import FORMATS, Page, render_report
from mixprec_doctor.reports.page import page_for


@click.command()
@target_options
@click.option("--engine", type=click.Choice(ENGINES), help="Examine this engine only, and expect it there.")
@click.option(
    "--code", metavar="CODE|@FILE", help="Ask whether these lines of Python would work there, and if not, why."
)
@click.option("--static", "static", is_flag=True, help="Only read, import nothing. This is the default.")
@click.option("--verify", is_flag=True, help="Really import and construct, or run the --code, in a watched process.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="For each thing that --verify tries; 120 if left out.",
)
@click.option("--offline", is_flag=True, help="Ask no package index about releases and install commands.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option("--select", multiple=True, metavar="CODES", help="Only these findings, e.g. MP103,MP4 (all MP4xx).")
@click.option("--ignore", multiple=True, metavar="CODES", help="Leave these findings out.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    default="text",
    show_default=True,
    help="Form of the report.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to a file.")
def doctor(
    *,
    python: Path | None,
    site_packages: Path | None,
    engine: str | None,
    code: str | None,
    static: bool,
    verify: bool,
    time_limit: float | None,
    offline: bool,
    strict: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    format_: str,
    output: Path | None,
) -> int:
    """Say what is installed, what is broken, why, and what to type; with --code, of a line that fails.

    The environment is that of the interpreter which runs mixprec, or the one named. Without --verify nothing of it is
    imported or run; nothing is ever installed into it. `mixprec explain CODE` says more about a finding.

    Exit code: 0 no error found, 1 errors found, 2 misuse, 3 nothing could be examined.
    """
    check_target(python, site_packages)
    if static and verify:
        raise click.UsageError("--static reads only and --verify really tries; give one")
    if time_limit is not None and not verify:
        raise click.UsageError("--time-limit is for --verify")
    with no_collection(), release_progress() as told, probe_progress() if verify else nullcontext() as progress:
        report = examine(
            python=python,
            site_packages=site_packages,
            engine=engine,
            code=code,
            select=codes(select),
            ignore=codes(ignore),
            verify=verify,
            verify_limit=time_limit or 120.0,
            progress=progress,
            offline=offline,
            told=told,
        )
    page = page_for(sys.stdout) if output is None else Page()
    write(render_report(report, format_, page, strict=strict), output)
    return int(report.exit_code(strict=strict))
