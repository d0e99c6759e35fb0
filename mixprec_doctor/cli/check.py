"""``mixprec check``."""

from __future__ import annotations

__all__ = ["check"]

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixprec_doctor.cli.options import check_target, codes, no_collection, target_options, write
from mixprec_doctor.cli.progress import late_progress
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.project.settings import find_settings
from mixprec_doctor.records.codefinding import CodeReport
from mixprec_doctor.reports.checks import CHECK_FORMATS, render_check
from mixprec_doctor.reports.page import Page, page_for

if TYPE_CHECKING:
    from mixprec_doctor.mending import Mending


class UnknownCheckCode(MixprecError):
    """`mixprec check` has no finding of that code."""

    def __init__(self, code: str, known: tuple[str, ...]) -> None:
        super().__init__(code, known)
        self.code = code
        self.known = known

    def __str__(self) -> str:
        return f"mixprec check has no finding with the code {self.code!r}; known: {', '.join(self.known)}"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--against",
    multiple=True,
    metavar="REQUIREMENT",
    help="A release on the index ('vllm==0.33.0'), a range of them ('vllm>=0.20') or a wheel.",
)
@click.option(
    "--from", "from_", metavar="REQUIREMENT", help="The release that the code was written for: what changed since?"
)
@click.option(
    "--package", "packages", multiple=True, metavar="NAME", help="Another package to look at, beside vllm and sglang."
)
@target_options
@click.option("--fix", is_flag=True, help="Write the repairs that are certain, then check again.")
@click.option("--diff", is_flag=True, help="Show what --fix would write, and write nothing.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option("--select", multiple=True, metavar="CODES", help="Only these findings, e.g. MP801,MP81 (all MP81x).")
@click.option("--ignore", multiple=True, metavar="CODES", help="Leave these findings out.")
@click.option("--offline", is_flag=True, help="Ask no index: releases are read from what is kept.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(CHECK_FORMATS)),
    default="text",
    show_default=True,
    help="Form of the report.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to a file.")
def check(
    *,
    paths: tuple[Path, ...],
    against: tuple[str, ...],
    from_: str | None,
    packages: tuple[str, ...],
    python: Path | None,
    site_packages: Path | None,
    fix: bool,
    diff: bool,
    strict: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    offline: bool,
    format_: str,
    output: Path | None,
) -> int:
    """Say which imports and calls of your own code a release of vLLM or SGLang does not have, and how to mend them.

    PATHs are Python files, notebooks, or folders of them. They are read, never run. They are held against the
    environment of this interpreter, that of --python or --site-packages, or any release on the index (--against), which
    is not installed for it. Settings stand in [tool.mixprec] of pyproject.toml; a comment `# mixprec: ignore[MP801]`
    leaves a finding of its statement out.

    Exit code: 0 no error found, 1 errors found, 2 misuse, 3 nothing could be examined.
    """
    check_target(python, site_packages)
    if against and (python or site_packages):
        raise click.UsageError("--against names releases, --python and --site-packages an environment; give one")
    if fix and diff:
        raise click.UsageError("--fix writes and --diff shows; give one")
    settings = find_settings(paths[0])
    strict = strict or settings.strict
    select, ignore = _known(codes(select) or settings.select), _known(codes(ignore) or settings.ignore)
    if not (against or python or site_packages):
        against = settings.against

    def look() -> CodeReport:
        from mixprec_doctor.codecheck.checking import check as check_code

        with no_collection(), late_progress() as progress:
            report = check_code(
                paths,
                against=against,
                from_=from_ or settings.from_,
                packages=packages or settings.packages,
                python=python,
                site_packages=site_packages,
                exclude=settings.exclude,
                offline=offline,
                progress=progress,
                workers=None,
            )
        return _wanted(report, select, ignore)

    report = look()
    if not report.files and settings.exclude and _are_excluded(paths):
        _tell(f"all files are left out by `exclude` in {settings.file}")
        return int(ExitCode.CLEAN)
    if diff:
        write(_planned(report), output)
        return int(report.exit_code(strict=strict))
    if fix and _fixed(report):
        report = look()
    page = page_for(sys.stdout) if output is None else Page()
    write(render_check(report, format_, page, strict=strict), output)
    return int(report.exit_code(strict=strict))


def _are_excluded(paths: tuple[Path, ...]) -> bool:
    """Whether there would be files but for the settings, as where pre-commit names them one by one."""
    from mixprec_doctor.codecheck.files import find_files

    return next(iter(find_files(paths)), None) is not None


def _known(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Codes or the beginnings of some; what matches none is refused."""
    from mixprec_doctor.reports.checks.rules import RULES

    wanted = tuple(each.upper() for each in wanted)
    known = tuple(each.code for each in RULES)
    for each in wanted:
        if not any(code.startswith(each) for code in known):
            raise UnknownCheckCode(each, known)
    return wanted


def _wanted(report: CodeReport, select: tuple[str, ...], ignore: tuple[str, ...]) -> CodeReport:
    return replace(
        report,
        findings=tuple(
            each
            for each in report.findings
            if (not select or each.finding.code.startswith(select))
            and not (ignore and each.finding.code.startswith(ignore))
        ),
    )


def _planned(report: CodeReport) -> str:
    """What --fix would write, as a diff; what it leaves alone is told on standard error."""
    from mixprec_doctor.mending import diff_of, plan_mending

    mending = plan_mending(report)
    _tell_left(mending)
    _tell(
        f"{_count(mending)} would be written by --fix" if mending.files else "there is nothing that --fix would write"
    )
    return diff_of(mending.files)


def _fixed(report: CodeReport) -> bool:
    """Write what is certain; whether anything was written."""
    from mixprec_doctor.mending import plan_mending, write_mending

    mending = write_mending(plan_mending(report))
    _tell_left(mending)
    _tell(f"{_count(mending)} written" if mending.files else "nothing was written: there is no certain repair")
    return bool(mending.files)


def _count(mending: Mending) -> str:
    repairs, files = sum(len(each.repairs) for each in mending.files), len(mending.files)
    return f"{repairs} repair{'s' * (repairs != 1)} in {files} file{'s' * (files != 1)}"


def _tell_left(mending: Mending) -> None:
    for each in mending.left:
        _tell(str(each))


def _tell(note: str) -> None:
    click.echo(f"mixprec: {note}", err=True)
