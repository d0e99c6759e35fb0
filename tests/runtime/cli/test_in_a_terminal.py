"""What a person sees: commands in a real terminal (a pty), with the embedded engine, from the first word to Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the embedded engine is torch and transformers")
pytest.importorskip("transformers", reason="the embedded engine is torch and transformers")
pytest.importorskip("uvicorn", reason="the embedded engine serves with starlette and uvicorn")

from mixprec_runtime.launching.server import free_port
from tests.runtime.adapters.torch.mixtures import FORMATS, Made, write_mixture

GOLDEN = Path(__file__).parent / "golden"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")
PATIENCE = 240  # seconds; a machine may be busy


class Terminal:
    """A command with a terminal of its own, 240 columns wide."""

    def __init__(self, words: list[str], **environment: str) -> None:
        self._master, slave = pty.openpty()
        self.child = subprocess.Popen(
            [sys.executable, "-m", "mixprec_runtime", *words], stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "240", "LINES": "40", **environment},
        )  # fmt: skip
        os.close(slave)
        self.seen = ""

    def until(self, words: str | None) -> str:
        """What has been written so far, once the words are there; None: once the command has ended."""
        limit = time.monotonic() + PATIENCE
        while words is None or words not in CONTROL.sub("", self.seen):
            assert time.monotonic() < limit, self.seen
            if not select.select([self._master], [], [], 1)[0]:
                continue
            try:
                chunk = os.read(self._master, 1 << 16)
            except OSError:  # the other end is closed
                chunk = b""
            if not chunk:
                assert words is None, self.seen
                break
            self.seen += chunk.decode(errors="replace")
        return self.seen

    def end(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C, or another signal; the exit code."""
        self.child.send_signal(number)
        self.until(None)
        return self.child.wait(PATIENCE)


PASSING = "stopping the engine"  # may be wiped away before anybody sees it


def told(seen: str) -> list[str]:
    """Lines as they stay on the screen, with what differs from run to run left open."""
    lines = []
    for line in CONTROL.sub("", seen).replace("\r\n", "\n").split("\n"):
        shown = line.rstrip().rpartition("\r")[2]
        if shown.strip() and "━" not in shown and shown != PASSING:
            lines.append(shown)
    text = "\n".join(lines)
    text = re.sub(r"127\.0\.0\.1:\d+", "LOOPBACK", text)
    text = re.sub(r"(/[\w.+-]+)+/([\w.+-]+)", r"…/\2", text)
    text = re.sub(r" *\b\d[\d.,]*\b( [kKMG]?i?B| %| s)", " N\\1", text)
    text = re.sub(r"[kKMG]i?B", "bytes", text)
    return text.splitlines()


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Made:
    rules = r"[{targets: ['re:.*mlp\..*_proj$'], source: gptq}]"
    return write_mixture(
        tmp_path_factory.mktemp("mix"), {"gptq": FORMATS["gptq"]}, rules=rules, max_position_embeddings=2048
    )


def golden(name: str, seen: str) -> None:
    """Hold a screen against the one that is kept; MIXPREC_WRITE_GOLDEN keeps this one."""
    file = GOLDEN / f"{name}.txt"
    lines = told(seen)
    if os.environ.get("MIXPREC_WRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == file.read_text(encoding="utf-8").splitlines()


def test_a_launch_shows_what_it_does_answers_and_ends_with_ctrl_c(mixture: Made, tmp_path: Path) -> None:
    port = free_port(0)
    terminal = Terminal(
        ["launch", str(mixture.file), "--engine", "torch", "--quiet", "--", "--port", str(port)],
        MIXPREC_CACHE=str(tmp_path),
        MIXPREC_COMPILE="0",
    )
    terminal.until("(Ctrl-C ends it)")
    body = json.dumps({"prompt": "w5 w9", "max_tokens": 4, "temperature": 0}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/completions", body, timeout=60) as answer:
        assert json.load(answer)["usage"]["completion_tokens"] >= 1
    assert terminal.end() == 0
    golden("launch-torch", terminal.seen)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)


def test_a_launch_that_is_refused_says_why_and_starts_nothing(mixture: Made, tmp_path: Path) -> None:
    terminal = Terminal(
        ["launch", str(mixture.file), "--engine", "torch", "--", "-tp", "2"], MIXPREC_CACHE=str(tmp_path)
    )
    terminal.until(None)
    assert terminal.child.wait(PATIENCE) == 2
    golden("launch-torch-two-ranks", terminal.seen)
