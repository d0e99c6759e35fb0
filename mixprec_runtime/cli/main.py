"""The ``mixprec`` command: the doctor's commands and the runtime's."""

from __future__ import annotations

__all__ = ["main"]

import click

from mixprec_doctor.cli.commands import DOCTOR_COMMANDS
from mixprec_doctor.cli.lazy import LazyGroup, run_command_line
from mixprec_doctor.version import __version__
from mixprec_runtime.cli.commands import RUNTIME_COMMANDS


@click.group(
    cls=LazyGroup,
    entries={**DOCTOR_COMMANDS, **RUNTIME_COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="mixprec")
def group() -> None:
    """Diagnose SGLang and vLLM installations, and serve one model from several quantized checkpoints."""


def main() -> int:
    """Entry point of the console script; returns the exit code."""
    return run_command_line(group, name="mixprec")
