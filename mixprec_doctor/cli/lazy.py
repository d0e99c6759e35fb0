"""A click group whose commands are imported only when they run, so that ``--help`` stays quick."""

from __future__ import annotations

__all__ = ["CommandEntry", "LazyGroup", "run_command_line"]

import importlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from mixprec_doctor.errors import ExitCode, MixprecError


@dataclass(frozen=True, kw_only=True)
class CommandEntry:
    """Where a command lives (``package.module:attribute``) and the line that help shows for it."""

    target: str
    help: str


class LazyGroup(click.Group):
    """A group that knows its commands by name and short help, and imports one when it is asked for."""

    def __init__(self, *args: Any, entries: Mapping[str, CommandEntry], **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._entries = dict(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return [*self._entries, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself; its module is imported here."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = entry.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101  the table above is ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        if self._entries:
            with formatter.section("Commands"):
                formatter.write_dl([(name, entry.help) for name, entry in self._entries.items()])


def run_command_line(command: click.Command, *, name: str) -> int:
    """Run a click command and return the exit code of the contract.

    No traceback for a user's mistake: a MixprecError prints its words and gives its own code. Ctrl-C gives
    130. A closed standard output (``mixprec ... | head``) is no fault.
    """
    try:
        code = command.main(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as fault:
        fault.show()
        return int(ExitCode.MISUSE)
    except MixprecError as fault:
        from mixprec_doctor.redaction import Redactor, Secrets

        words = Redactor(Secrets.of(), personal=False).text(str(fault))  # what was asked for may hold a token
        click.secho(f"mixprec: {words}", fg="red", err=True)
        return int(fault.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("mixprec: interrupted", err=True)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code if isinstance(code, int) else int(ExitCode.CLEAN)
