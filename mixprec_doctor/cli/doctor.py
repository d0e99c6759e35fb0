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
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.examination import examine
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.report import Report
from mixprec_doctor.reports import FORMATS, Page, render_report
from mixprec_doctor.reports.page import page_for


class NothingProved(MixprecError):
    """A setup was asked for, and not exactly one engine has proved kernels."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, file: str, found: str) -> None:
        super().__init__(file, found)
        self.file = file
        self.found = found

    def __str__(self) -> str:
        return (
            f"{self.file} was not written: wanted one engine with proved kernels, found {self.found}\n"
            "  try: --engine NAME, and mixprec doctor --verify --mix FILE without --setup, which says what is wrong"
        )


@click.command()
@target_options
@click.option("--engine", type=click.Choice(ENGINES), help="Examine this engine only, and expect it there.")
@click.option(
    "--code", metavar="CODE|@FILE", help="Ask whether these lines of Python would work there, and if not, why."
)
@click.option(
    "--mix",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Say which kernels serve the layers of this mixture there; with --verify, prove it.",
)
@click.option(
    "--setup",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write what --verify --mix proved, for mixprec launch --setup.",
)
@click.option(
    "--machine",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Judge for a machine that this file describes, JSON or YAML, instead of the one at hand.",
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
    mix: Path | None,
    setup: Path | None,
    machine: Path | None,
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
    if setup is not None and (mix is None or not verify):
        raise click.UsageError("--setup writes down what was proved for a mixture: it needs --verify and --mix")
    if mix is not None and code is not None:
        raise click.UsageError("--mix and --code are two questions; ask one")
    if machine is not None and verify:
        raise click.UsageError("--verify tries on the machine at hand; a described --machine can only be read for")
    with no_collection(), release_progress() as told, probe_progress() if verify else nullcontext() as progress:
        report = examine(
            python=python,
            site_packages=site_packages,
            engine=engine,
            code=code,
            mix=mix,
            machine=_described(machine),
            select=codes(select),
            ignore=codes(ignore),
            verify=verify,
            verify_limit=time_limit or 120.0,
            progress=progress,
            offline=offline,
            told=told,
        )
    if setup is not None:
        _write_setup(report, setup)
    page = page_for(sys.stdout) if output is None else Page()
    write(render_report(report, format_, page, strict=strict), output)
    return int(report.exit_code(strict=strict))


def _described(file: Path | None) -> Machine | None:
    if file is None:
        return None
    from mixprec_doctor.machine.description import read_description

    return read_description(file)


def _write_setup(report: Report, file: Path) -> None:
    """The setup of the engine whose kernels were proved; nothing is written where a layer has none."""
    from mixprec_doctor.setup import make_setup, write_setup

    engines = {choice.engine for choice in report.kernels if choice.winner is not None and choice.winner.proof}
    proved = [each.engine for each in report.engines if each.engine.engine in engines]
    if len(proved) != 1 or report.workload is None:
        found = " and ".join(sorted(engines)) or "none"
        raise NothingProved(str(file), found)
    made = make_setup(
        report.workload,
        report.kernels,
        environment=report.target,
        engine=proved[0],
        resolutions=report.roles,
        findings=report.findings,
        seconds=report.seconds,
    )
    write_setup(made, file)
    click.echo(f"mixprec: wrote {file}; mixprec launch {report.workload.name} --setup {file}", err=True)
