"""What a launch shows on standard error while it goes on: steps, a bar for loading, the engine's log if wanted."""

from __future__ import annotations

__all__ = ["TerminalObserver"]

import sys
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from typing_extensions import Self

from mixprec_runtime.launching.launch import Launch, Observer
from mixprec_runtime.records.account import LoadAccount
from mixprec_runtime.reports.account_text import account_text
from mixprec_runtime.reports.memory_forms import keep_memory


class TerminalObserver(Observer):
    """Draws on a terminal; writes plain lines when standard error is no terminal."""

    def __init__(self, *, show_log: bool) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
        self._show_log = show_log
        self._began = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._last = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def phase(self, text: str) -> None:
        """Announce a step, with the seconds since the start."""
        self._drop_bar()
        self._console.print(f"[bold]{time.monotonic() - self._began:5.1f} s[/] {text}")
        self._task = self._progress.add_task(text, total=None)

    def log(self, line: str) -> None:
        """Show a line of the engine as it is."""
        if self._show_log:
            self._console.print(line, style="dim", markup=False)

    def loading(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._last != "loading":
            self.phase("loading the planned tensors")
            self._last = "loading"
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def ready(self, launch: Launch, accounts: tuple[LoadAccount, ...]) -> None:
        """Show the account and where the server answers."""
        self._drop_bar()
        self._console.print(account_text(launch.plan, accounts))
        self._console.print(
            f"[bold green]{time.monotonic() - self._began:5.1f} s serving at {launch.command.url}/v1[/]"
            f"  (Ctrl-C ends it)"
        )

    def kept(self, launch: Launch, accounts: tuple[LoadAccount, ...], folder: Path) -> None:
        """Leave the memory report beside the accounts, as a document and as a picture, and say where."""
        if accounts:
            self._console.print(f"        {keep_memory(launch, accounts, folder)}", style="dim", markup=False)

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._drop_bar()
        self._console.print("stopping the engine")

    def died(self, code: int, log: Path, last_lines: tuple[str, ...]) -> None:
        """Say that the server is gone, and what its engine said last."""
        self._drop_bar()
        self._console.print(f"[red]mixprec: the engine ended with code {code} while it served[/]")
        for line in () if self._show_log else last_lines:
            self._console.print(f"  {line}", style="red", markup=False)
        self._console.print(f"  the engine's whole log: {log}", style="red", markup=False)

    def _drop_bar(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
