"""A measuring process: asked through a file, it tells lines of JSON, takes more on standard input, and ends with us."""

from __future__ import annotations

__all__ = ["Child", "MeasuringFailed"]

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_runtime.loading.state import STATE_DIR

KEPT = 8  # lines of a child that died
PATIENCE = 2.0  # seconds for a child that nobody listens to


class MeasuringFailed(MixprecError):
    """The measuring process ended before it had said all."""

    exit_code = ExitCode.FINDINGS

    def __init__(self, code: int, last_lines: tuple[str, ...]) -> None:
        super().__init__(code, last_lines)
        self.code = code
        self.last_lines = last_lines

    def __str__(self) -> str:
        said = "".join(f"\n  {line}" for line in self.last_lines)
        return f"the measuring process ended with code {self.code}{said}"


class Child:
    """A running child, to be used in a ``with`` block: it is ended there."""

    def __init__(self, module: str, request: Mapping[str, object]) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="mixprec-measures-")
        folder = Path(self._scratch.name)
        asked = folder / "request.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        self._errors = folder / "errors.txt"
        with self._errors.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(asked)], stdout=subprocess.PIPE, stderr=log, stdin=subprocess.PIPE,
                env={**os.environ, STATE_DIR: str(folder)}, text=True,
            )  # fmt: skip

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if not self._ends():
            self._process.kill()
            self._process.wait()
        self._scratch.cleanup()

    def told(self) -> Iterator[Mapping[str, Any]]:
        """What it tells until it ends. Raises MeasuringFailed where that is with another code than 0."""
        output: IO[str] | tuple[()] = self._process.stdout or ()
        for line in output:
            if line.startswith("{"):
                yield json.loads(line)
        if not self._ends():
            self._process.kill()
        if code := self._process.wait():
            lines = self._errors.read_text(encoding="utf-8", errors="replace").splitlines()
            raise MeasuringFailed(code, tuple(line for line in lines if line.strip())[-KEPT:])

    def ask(self, question: Mapping[str, object]) -> None:
        """Send one more line. A child that is gone tells so where it is listened to."""
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.write(json.dumps(question) + "\n")
                pipe.flush()

    def _ends(self) -> bool:
        """Whether a child that has closed its output, or is not heard any more, ends by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        return self._process.poll() is not None
