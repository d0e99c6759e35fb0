"""Answers: the JSON of completions and chats, whole and in pieces."""

from __future__ import annotations

__all__ = ["Answers", "ChatAnswers", "CompletionAnswers", "usage_of"]

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from mixprec_runtime.adapters.torch.generation import Usage

Json = dict[str, Any]


def usage_of(usages: Sequence[Usage]) -> Json:
    """Tokens of a request; those of several prompts are added."""
    prompt, completion = sum(each.prompt for each in usages), sum(each.completion for each in usages)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class Answers(ABC):
    """One request's answers: the same id, time and model in each. ``counted``: every piece has room for usage."""

    PREFIX = ""
    WHOLE = ""
    PIECE = ""

    def __init__(self, model: str, *, counted: bool = False) -> None:
        self._id = f"{self.PREFIX}-{uuid.uuid4().hex}"
        self._model = model
        self._created = int(time.time())
        self.counted = counted

    def whole(self, texts: Sequence[str], finishes: Sequence[str], usages: Sequence[Usage]) -> Json:
        """Everything at once."""
        choices = [
            self._choice(at, text, finish) for at, (text, finish) in enumerate(zip(texts, finishes, strict=True))
        ]
        return {**self._head(self.WHOLE), "choices": choices, "usage": usage_of(usages)}

    def opening(self, at: int) -> Json | None:
        """What comes before the first piece, if anything does."""
        return None

    def piece(self, at: int, text: str) -> Json:
        """Some more of an answer's text."""
        return self._part([self._piece(at, text, None)])

    def closing(self, at: int, finish: str) -> Json:
        """Why an answer has ended."""
        return self._part([self._piece(at, "", finish)])

    def counting(self, usages: Sequence[Usage]) -> Json:
        """The last part of a stream that was asked to count."""
        return {**self._head(self.PIECE), "choices": [], "usage": usage_of(usages)}

    def _head(self, kind: str) -> Json:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}

    def _part(self, choices: list[Json]) -> Json:
        return {**self._head(self.PIECE), "choices": choices, **({"usage": None} if self.counted else {})}

    @abstractmethod
    def _choice(self, at: int, text: str, finish: str) -> Json:
        """An answer, whole."""

    @abstractmethod
    def _piece(self, at: int, text: str, finish: str | None) -> Json:
        """Some of an answer, or why it ended."""


class CompletionAnswers(Answers):
    """Answers of ``/v1/completions``."""

    PREFIX = "cmpl"
    WHOLE = PIECE = "text_completion"

    def _choice(self, at: int, text: str, finish: str | None) -> Json:
        return {"index": at, "text": text, "logprobs": None, "finish_reason": finish}

    _piece = _choice


class ChatAnswers(Answers):
    """Answers of ``/v1/chat/completions``."""

    PREFIX = "chatcmpl"
    WHOLE = "chat.completion"
    PIECE = "chat.completion.chunk"

    def opening(self, at: int) -> Json | None:
        """Who speaks."""
        choice = {"index": at, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        return self._part([choice])

    def _choice(self, at: int, text: str, finish: str) -> Json:
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": at, "message": message, "logprobs": None, "finish_reason": finish}

    def _piece(self, at: int, text: str, finish: str | None) -> Json:
        delta = {"content": text} if finish is None else {}
        return {"index": at, "delta": delta, "logprobs": None, "finish_reason": finish}
