"""``mixprec explain``."""

from __future__ import annotations

__all__ = ["explain", "find_explanation"]

import re
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click

from mixprec_doctor.checks import CHECKS, UnknownCode
from mixprec_doctor.cli.options import check_target, no_collection, target_options, write
from mixprec_doctor.diagnosis import diagnose
from mixprec_doctor.errors import MixprecError
from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.reports.checks.rules import RULES
from mixprec_doctor.reports.diagnoses import DIAGNOSIS_FORMATS, render_diagnosis
from mixprec_doctor.reports.explanations import render_explanation
from mixprec_doctor.reports.page import Page, page_for

GROUP = "mixprec.explanations"
"""Entry points that name an iterable of Explanation: how other packages' codes are found without importing them."""

_MOST_BYTES = 256 * 2**20


class UnreadableLog(MixprecError):
    """The file with the log cannot be read."""

    def __init__(self, path: str, fault: str) -> None:
        super().__init__(path, fault)
        self.path = path
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.fault}\n  try: a code, the file of a log, or - for standard input"


@click.command()
@click.argument("what", metavar="CODE|FILE|-")
@target_options
@click.option(
    "--format", "format_", type=click.Choice(DIAGNOSIS_FORMATS), default="text", show_default=True, help="For a log."
)
@click.option("--offline", is_flag=True, help="Ask no package index about releases and install commands.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to a file.")
def explain(
    *, what: str, python: Path | None, site_packages: Path | None, format_: str, offline: bool, output: Path | None
) -> int | None:
    """Explain a finding's CODE, e.g. MP401, or a traceback or log of a failed start: a FILE, or - for standard input.

    A log is held against what the doctor finds in the environment that it is of: name that with --python or
    --site-packages. Nothing of it is run.

    Exit code for a log: 1 something explains it, 0 nothing does, 2 misuse, 3 no failure in it.
    """
    page = page_for(sys.stdout) if output is None else Page()
    if re.fullmatch(r"MP\d{3}", what, re.IGNORECASE) or not _is_log(what):
        write(render_explanation(find_explanation(what), page), output)
        return None
    check_target(python, site_packages)
    log = _read(what)
    with no_collection():
        diagnosis = diagnose(log, python=python, site_packages=site_packages, offline=offline)
    write(render_diagnosis(diagnosis, format_, page), output)
    return int(diagnosis.exit_code())


def _is_log(what: str) -> bool:
    """A file that is there, standard input, or what can only be meant for a file."""
    return what == "-" or Path(what).exists() or bool(re.search(r"[/\\.]", what))


def _read(what: str) -> str:
    try:
        stream = sys.stdin.buffer if what == "-" else Path(what).expanduser().open("rb")
        with stream:
            return stream.read(_MOST_BYTES).decode("utf-8", errors="replace")
    except OSError as fault:
        raise UnreadableLog(what, fault.strerror or str(fault)) from None


def find_explanation(code: str) -> Explanation:
    """The explanation of a code, in any case of letters. Raises UnknownCode with the codes that there are."""
    known: dict[str, Explanation] = {each.code: each for each in (*CHECKS, *RULES)}
    for point in entry_points(group=GROUP):
        known.update((each.code, each) for each in point.load())
    try:
        return known[code.upper()]
    except KeyError:
        raise UnknownCode(code, sorted(known)) from None
