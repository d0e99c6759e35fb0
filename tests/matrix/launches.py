"""A real ``mixprec launch`` in a process of its own, and a look at what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixprec_runtime.launching.server import free_port, healthy

START_SECONDS = 400
MARK = "MIXPREC_TEST_MARK"


@dataclass(kw_only=True)
class Launched:
    """A launch: its process, its port, and the mark that all its descendants carry in their environment."""

    process: subprocess.Popen[str]
    port: int
    mark: str
    output: Path
    model: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def wait_until_healthy(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            assert self.process.poll() is None, f"the launch ended with {self.process.returncode}:\n{self.text()}"
            if healthy(self.url):
                return
            time.sleep(0.5)
        raise AssertionError(f"no health after {START_SECONDS} s:\n{self.text()}")

    def wait_for_text(self, text: str) -> None:
        until = time.monotonic() + START_SECONDS
        while text not in self.text():
            assert self.process.poll() is None, f"the launch ended before {text!r}:\n{self.text()}"
            assert time.monotonic() < until, f"{text!r} never came:\n{self.text()}"
            time.sleep(0.1)

    def complete(self, prompt: str, tokens: int, **more: object) -> dict[str, object]:
        body = {"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, **more}
        return self.ask("/v1/completions", body)

    def ask(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        """The JSON that comes back for a JSON."""
        request = urllib.request.Request(  # noqa: S310  loopback
            f"{self.url}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            loaded: dict[str, object] = json.load(answer)
        return loaded

    def get(self, path: str) -> str:
        """What a page says."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:  # noqa: S310
            found: str = answer.read().decode()
        return found

    def descendants(self) -> list[int]:
        """Living processes that carry the mark."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                environment = (entry / "environ").read_bytes()
                state = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
            except OSError:
                continue
            if f"{MARK}={self.mark}".encode() in environment and state != "Z":
                found.append(int(entry.name))
        return found

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send the signal a user would, and wait for the launcher's own end."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


def start(
    mix: Path,
    folder: Path,
    *,
    port: int | None = None,
    quiet: bool = True,
    options: tuple[str, ...] = (),
    engine: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> Launched:
    """Start ``mixprec launch`` on a mix file; its output goes to a file in ``folder``.

    ``options`` are mixprec's own, ``engine`` are arguments of the engine, ``variables`` are added to the environment.
    """
    port = port or free_port()
    words = ["-m", "mixprec_runtime", "launch", *(["--quiet"] if quiet else []), *options, str(mix), "--"]
    return run_words([*words, *engine], folder, port=port, variables=variables, model=mix.stem)


def run_words(
    words: Sequence[str],
    folder: Path,
    *,
    port: int | None = None,
    variables: Mapping[str, str] | None = None,
    model: str,
) -> Launched:
    """Start Python with these words and a port; its output goes to a file in ``folder``."""
    port = port or free_port()
    mark = uuid.uuid4().hex
    output = folder / f"launch-{mark[:8]}.txt"
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        **(variables or {}),
        MARK: mark,
    }
    with output.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, *words, "--port", str(port)],
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
        )
    return Launched(process=process, port=port, mark=mark, output=output, model=model)
