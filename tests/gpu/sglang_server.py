"""Servers of SGLang on this machine, started side by side, asked over HTTP, and ended with all their processes."""

from __future__ import annotations

__all__ = ["Answer", "Server", "ask_openai", "generate", "score", "start"]

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from mixprec_runtime.launching.server import healthy

LOADED = re.compile(r"Load weight end\..*?elapsed=([0-9.]+) s")
CAPTURED = re.compile(r"Capture .*?(?:CUDA|cuda) graph end", re.IGNORECASE)
REPLAYED = re.compile(r"Decode batch.*? graph: (True|False)")
FAULT = re.compile(r"\b\w*(Error|Exception)\b")
GRACE = 15.0  # seconds to end by itself
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(kw_only=True)
class Server:
    """A started server: where it answers, what it wrote, and since when it is ready."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    began: float = field(default_factory=time.monotonic)
    ready_after: float | None = None
    family: list[psutil.Process] = field(default_factory=list)  # its processes when it was asked to end

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def look(self) -> bool | None:
        """True when it answers, False when it has ended, None as long as it starts."""
        if self.process.poll() is not None:
            return False
        if self.ready_after is None and healthy(self.url):
            self.ready_after = round(time.monotonic() - self.began, 1)
        return True if self.ready_after is not None else None

    def text(self) -> str:
        """All that it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def told(self) -> dict[str, Any]:
        """What its log says of loading and of graphs."""
        text = self.text()
        loaded, replayed = LOADED.findall(text), REPLAYED.findall(text)
        return {
            "ready_after": self.ready_after,
            "load_seconds": float(loaded[-1]) if loaded else None,
            "graphs_captured": bool(CAPTURED.search(text)),
            "decoded_in_graphs": None if not replayed else f"{sum(w == 'True' for w in replayed)}/{len(replayed)}",
        }

    def last_faults(self, count: int = 6) -> list[str]:
        """The last lines that name an exception, or else the last ones."""
        lines = self.text().splitlines()
        return [line[:400] for line in [line for line in lines if FAULT.search(line)][-count:] or lines[-count:]]

    def gpu_bytes(self) -> int | None:
        """What the driver says that its processes hold; None where it does not tell."""
        asked = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
        with suppress(OSError, ValueError):
            lines = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.splitlines()
            held = {int(pid): int(used) for pid, used in (line.split(",") for line in lines)}
            own = [used for pid, used in held.items() if pid in {each.pid for each in self._family()}]
            return sum(own) * 2**20 if own else None
        return None

    def interrupt(self) -> None:
        """Ask it to end, once, as Ctrl-C does."""
        if self.process.poll() is None and not self.family:
            self.family = self._family()
            self.process.send_signal(signal.SIGINT)

    def end(self) -> int | None:
        """End it, and whatever of its processes is left after some seconds of grace; its exit code."""
        self.interrupt()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        code = self.process.poll()
        for each in self.family:
            with suppress(psutil.Error):
                each.kill()
        self.process.wait()
        return code

    def _family(self) -> list[psutil.Process]:
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.Error:
            return []


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One greedy answer: the tokens, and the log-probability of each token of the prompt but the first."""

    tokens: list[int]
    prompt: list[float]


def start(name: str, words: Sequence[str], *, port: int, log: Path, environment: Mapping[str, str]) -> Server:
    """Start a server in a session of its own; it writes into ``log``."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            list(words), stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
    return Server(name=name, process=process, port=port, log=log)


def generate(url: str, prompts: Sequence[Sequence[int]], *, new: int, **more: object) -> list[dict[str, Any]]:
    """Greedy answers to prompts of tokens, in one request of the engine's own kind."""
    wanted = {"temperature": 0, "max_new_tokens": new, "ignore_eos": True}
    found = _post(f"{url}/generate", {"input_ids": [list(each) for each in prompts], "sampling_params": wanted, **more})
    return found if isinstance(found, list) else [found]


def score(url: str, ids: Sequence[int], *, new: int) -> Answer:
    """What the served model thinks of these tokens, and how it goes on."""
    (found,) = generate(url, [ids], new=new, return_logprob=True, logprob_start_len=0)
    prompt = [entry[0] for entry in found["meta_info"]["input_token_logprobs"][1:]]
    return Answer(tokens=list(found["output_ids"]), prompt=prompt)


def ask_openai(url: str, *, prompt: str, new: int) -> tuple[str, str]:
    """The model's name by /v1/models and the greedy text of /v1/completions."""
    with _OPENER.open(f"{url}/v1/models", timeout=30) as answer:
        name = json.load(answer)["data"][0]["id"]
    body = {"model": name, "prompt": prompt, "max_tokens": new, "temperature": 0, "ignore_eos": True}
    return name, _post(f"{url}/v1/completions", body)["choices"][0]["text"]


def _post(url: str, body: Mapping[str, object]) -> Any:
    asked = urllib.request.Request(  # noqa: S310  the scheme is http, the address loopback
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with _OPENER.open(asked, timeout=180) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as fault:
        raise OSError(f"{url} answered {fault.code}: {fault.read()[:300]!r}") from fault
