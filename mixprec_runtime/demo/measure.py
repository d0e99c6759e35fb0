"""What the demo asks of the server, and how quick it is."""

from __future__ import annotations

__all__ = ["PROMPT", "Answer", "ask", "decode_speed"]

import time
from dataclasses import dataclass

from mixprec_runtime.launching.command import ServeCommand
from mixprec_runtime.launching.server import complete

PROMPT = "The capital of France is"
ANSWER_TOKENS = 24
SPEED_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A completion: its text, its tokens and the seconds until it was there."""

    text: str
    tokens: int
    seconds: float


def ask(command: ServeCommand, *, model: str, prompt: str = PROMPT, tokens: int = ANSWER_TOKENS) -> Answer:
    """One greedy completion over HTTP."""
    return _complete(command, model, prompt, tokens, ignore_eos=False)


def decode_speed(command: ServeCommand, *, model: str) -> float:
    """Tokens per second of one request: a long answer less a short one, so that the prompt does not count."""
    short = _complete(command, model, PROMPT, 1, ignore_eos=True)
    long = _complete(command, model, PROMPT, 1 + SPEED_TOKENS, ignore_eos=True)
    return SPEED_TOKENS / max(long.seconds - short.seconds, 1e-9)


def _complete(command: ServeCommand, model: str, prompt: str, tokens: int, *, ignore_eos: bool) -> Answer:
    began = time.perf_counter()
    raw = complete(command.url, model=model, prompt=prompt, max_tokens=tokens, ignore_eos=ignore_eos)
    seconds = time.perf_counter() - began
    choices, usage = raw.get("choices"), raw.get("usage")
    if not isinstance(choices, list) or not isinstance(usage, dict):
        raise OSError(f"{command.url} gave no completion: {raw}")
    return Answer(text=str(choices[0]["text"]), tokens=int(usage["completion_tokens"]), seconds=seconds)
