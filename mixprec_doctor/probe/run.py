"""Run: one child and its warden; what they say, as it comes."""

from __future__ import annotations

__all__ = ["run"]

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mixprec_doctor.probe.limits import Limits
from mixprec_doctor.records.probe import ProbeRequest

_FOLDER = Path(__file__).parent
_UNTIL_ENDED = 20.0  # the warden itself takes ten seconds at most


def run(
    requests: Sequence[tuple[int, ProbeRequest]], *, python: str, limits: Limits, total: float
) -> Iterator[dict[str, Any]]:
    """Try numbered requests in one child and give what is said of them: ``begin``, answers, and one ``end``.

    Whatever ends this early, an interrupt among it, first ends the child and everything that it started.
    """
    folder = Path(tempfile.mkdtemp(prefix="mixprec-probe-"))
    try:
        questions, answers = folder / "questions.json", folder / "answers"
        questions.write_text(json.dumps([[number, each.to_json()] for number, each in requests]), encoding="utf-8")
        answers.touch(mode=0o600)
        token = secrets.token_hex(8)
        spec = {
            # Not isolated: PYTHONPATH and the user's own site-packages are there when the engine is started too.
            "command": [python, "-B", str(_FOLDER / "child.py"), str(questions), str(answers), token],
            "answers": str(answers),
            "token": token,
            "each": limits.each,
            "total": total,
            "ending": limits.ending,
            "memory": limits.memory,
        }
        yield from _events(spec)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _events(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    warden = subprocess.Popen(
        [sys.executable or str(spec["command"][0]), "-I", "-S", str(_FOLDER / "warden.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ,
        start_new_session=True,  # Ctrl-C of a terminal is for this process; it ends the warden in order
    )
    assert warden.stdin is not None  # noqa: S101  as Popen was told
    assert warden.stdout is not None  # noqa: S101
    ended = False
    try:
        warden.stdin.write(json.dumps(spec).encode() + b"\n")
        warden.stdin.flush()
        for line in warden.stdout:
            event = json.loads(line)
            ended = ended or "end" in event
            yield event
        if not ended:
            yield {"end": {"fault": f"the process that watches it ended with code {warden.wait(_UNTIL_ENDED)}"}}
    finally:
        if not ended:
            warden.terminate()
        warden.stdin.close()
        try:
            warden.wait(_UNTIL_ENDED)
        except subprocess.TimeoutExpired:
            warden.kill()
            warden.wait()
        warden.stdout.close()
