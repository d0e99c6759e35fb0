"""Requirements of the command line: releases on the index, or the paths of wheels."""

from __future__ import annotations

__all__ = ["find_each", "tell_notes"]

from pathlib import Path

import click

from mixprec_doctor.index.releases import usual_index
from mixprec_doctor.index.wheelfile import is_wheel_path, release_of_file
from mixprec_doctor.records.release import Release


def find_each(requirement: str, *, offline: bool = False) -> tuple[Release, ...]:
    """The releases that one requirement names, oldest first; for the path of a wheel just that."""
    if is_wheel_path(requirement):
        return (release_of_file(Path(requirement)),)
    return usual_index(offline=offline).find(requirement)


def tell_notes(*, offline: bool = False) -> None:
    """What the user should know of how the index answered, on standard error."""
    for note in usual_index(offline=offline).notes:
        click.echo(f"mixprec: {note}", err=True)
