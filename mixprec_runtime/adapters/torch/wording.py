"""Wording: text from tokens as they come, whole characters only, cut off before a stop string."""

from __future__ import annotations

__all__ = ["Wording"]

from typing import Any

BROKEN = "\N{REPLACEMENT CHARACTER}"  # what decoding gives for half a character


class Wording:
    """Text of one answer. What might begin a stop string is held back until the next tokens decide."""

    def __init__(self, tokenizer: Any, stop: tuple[str, ...] = ()) -> None:  # noqa: ANN401  transformers is untyped
        self._tokenizer = tokenizer
        self._stop = stop
        self._tokens: list[int] = []
        self._from = 0  # tokens before it are final text already
        self._shown = 0  # ... and of the text since then, so many characters
        self._held = ""
        self.stopped = False

    def add(self, token: int) -> str:
        """The text that is certain with one more token; often none."""
        self._tokens.append(token)
        text = self._decoded(self._from)
        if text.endswith(BROKEN):
            return ""
        fresh, self._shown = text[self._shown :], len(text)
        if fresh:  # keep one token before, for a decoder that leaves out the space of the first
            self._from = len(self._tokens) - 1
            self._shown = len(self._decoded(self._from))
        return self._cut(fresh)

    def rest(self) -> str:
        """What is left when no more tokens come."""
        text = self._decoded(self._from)[self._shown :]
        held, self._held = self._held, ""
        return "" if self.stopped else held + text

    def _decoded(self, begin: int) -> str:
        text: str = self._tokenizer.decode(
            self._tokens[begin:], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _cut(self, fresh: str) -> str:
        if self.stopped:
            return ""
        text = self._held + fresh
        found = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of a text begin a stop string."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
