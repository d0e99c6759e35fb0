"""Options that several commands share, and writing what they render."""

from __future__ import annotations

__all__ = ["check_target", "codes", "no_collection", "target_options", "write"]

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from mixprec_doctor.errors import ExitCode, MixprecError

Command = TypeVar("Command", bound=Callable[..., Any])


class CannotWrite(MixprecError):
    """The file that ``-o`` names cannot be written."""

    exit_code = ExitCode.MISUSE

    def __init__(self, path: str, fault: str) -> None:
        super().__init__(path, fault)
        self.path = path
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.path} cannot be written: {self.fault}"


@contextmanager
def no_collection() -> Iterator[None]:
    """Leave the garbage collector out while syntax trees are built: it costs a third and finds nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def target_options(command: Command) -> Command:
    """``--python`` and ``--site-packages``."""
    for option in (
        click.option(
            "--site-packages",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help=("Examine a folder of installed packages, or a virtual environment, without running anything."),
        ),
        click.option(
            "--python",
            type=click.Path(path_type=Path),
            metavar="EXE",
            help="Examine the environment of another interpreter (or virtual environment folder).",
        ),
    ):
        command = option(command)
    return command


def check_target(python: Path | None, site_packages: Path | None) -> None:
    """Refuse the two ways to name an environment when both are given."""
    if python is not None and site_packages is not None:
        raise click.UsageError("--python and --site-packages name two environments; give one")


def codes(values: tuple[str, ...]) -> tuple[str, ...]:
    """Codes of ``--select A,B --select C`` as one tuple."""
    return tuple(code.strip() for value in values for code in value.split(",") if code.strip())


def write(text: str, output: Path | None) -> None:
    """To the file, or to standard output as it is, in UTF-8 where the terminal cannot say otherwise."""
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as fault:
            raise CannotWrite(str(output), fault.strerror or str(fault)) from None
        return
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(text.encode(encoding, errors="replace").decode(encoding), nl=False)
