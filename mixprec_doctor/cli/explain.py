"""``mixprec explain``."""

from __future__ import annotations

__all__ = ["explain"]

import sys
from importlib.metadata import entry_points

import click

from mixprec_doctor.checks import CHECKS, UnknownCode
from mixprec_doctor.cli.options import write
from mixprec_doctor.records.explanation import Explanation
from mixprec_doctor.reports.explanations import render_explanation
from mixprec_doctor.reports.page import page_for

GROUP = "mixprec.explanations"
"""Entry points that name an iterable of Explanation: how other packages' codes are found without importing them."""


@click.command()
@click.argument("code")
def explain(*, code: str) -> None:
    """Explain a finding's CODE, e.g. MP401: what it means, an example and the cure."""
    write(render_explanation(_find(code), page_for(sys.stdout)), None)


def _find(code: str) -> Explanation:
    """The explanation of a code, in any case of letters. Raises UnknownCode with the codes that there are."""
    known: dict[str, Explanation] = {check.code: check for check in CHECKS}
    for point in entry_points(group=GROUP):
        known.update((each.code, each) for each in point.load())
    try:
        return known[code.upper()]
    except KeyError:
        raise UnknownCode(code, sorted(known)) from None
