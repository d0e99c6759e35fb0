"""``mixprec explain``."""

from __future__ import annotations

__all__ = ["explain"]

import sys

import click

from mixprec_doctor.checks import find_check
from mixprec_doctor.cli.options import write
from mixprec_doctor.reports.explanations import render_explanation
from mixprec_doctor.reports.page import page_for


@click.command()
@click.argument("code")
def explain(*, code: str) -> None:
    """Explain a finding's CODE, e.g. MP401: what it means, an example and the cure."""
    write(render_explanation(find_check(code), page_for(sys.stdout)), None)
