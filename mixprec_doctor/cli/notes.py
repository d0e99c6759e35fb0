"""Notes of the index for the command line."""

from __future__ import annotations

__all__ = ["tell_notes"]

import click

from mixprec_doctor.index.releases import usual_index


def tell_notes(*, offline: bool = False) -> None:
    """What the user should know of how the index answered, on standard error."""
    for note in usual_index(offline=offline).notes:
        click.echo(f"mixprec: {note}", err=True)
