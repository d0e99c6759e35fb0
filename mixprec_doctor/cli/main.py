"""``python -m mixprec_doctor``: the doctor's commands alone."""

from __future__ import annotations

__all__ = ["main"]

import click

from mixprec_doctor.cli.commands import DOCTOR_COMMANDS
from mixprec_doctor.cli.lazy import LazyGroup, run_command_line
from mixprec_doctor.version import __version__


@click.group(cls=LazyGroup, entries=DOCTOR_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mixprec")
def group() -> None:
    """Diagnose SGLang and vLLM installations without importing them."""


def main() -> int:
    """Entry point; returns the exit code."""
    return run_command_line(group, name="python -m mixprec_doctor")
