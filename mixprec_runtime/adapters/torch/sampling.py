"""Sampling: how a request wants its tokens chosen, refused at the border where it makes no sense."""

from __future__ import annotations

__all__ = ["BadPrompt", "BadSampling", "NoChatTemplate", "Sampling", "TooLong"]

import math
from dataclasses import dataclass
from typing import Any

from mixprec_doctor.errors import ExitCode, MixprecError

SEEDS = 1 << 63


class BadSampling(MixprecError):
    """A value that no sampling can follow."""

    exit_code = ExitCode.MISUSE

    def __init__(self, field: str, found: object, wanted: str) -> None:
        super().__init__(field, found, wanted)
        self.field = field
        self.found = found
        self.wanted = wanted

    def __str__(self) -> str:
        return f"{self.field}: wanted {self.wanted}, found {self.found!r}"


class BadPrompt(MixprecError):
    """A prompt that nothing can follow."""

    exit_code = ExitCode.MISUSE

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        return f"the prompt {self.fault}"


class TooLong(BadPrompt):
    """A prompt that leaves no room for an answer."""

    def __init__(self, prompt: int, room: int) -> None:
        MixprecError.__init__(self, prompt, room)
        self.prompt = prompt
        self.room = room
        self.fault = f"has {prompt:,} tokens; prompt and answer may have {room:,} together"


class NoChatTemplate(MixprecError):
    """A model whose tokenizer does not say how a conversation becomes text."""

    exit_code = ExitCode.MISUSE

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return (
            f"{self.folder} has no chat template\n  try: a completion, or a base model that was made for conversations"
        )


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Values of transformers' GenerationConfig. ``temperature`` 0 takes the likeliest token. Raises BadSampling."""

    max_tokens: int | None = None  # None: as many as the context holds
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all tokens
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        checks: tuple[tuple[str, bool, str], ...] = (
            ("max_tokens", self.max_tokens is None or self.max_tokens >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature <= 100, "a number from 0 to 100"),
            ("top_p", 0 < self.top_p <= 1, "more than 0, at most 1"),
            ("top_k", self.top_k >= 0, "0 (all tokens) or more"),
            ("min_p", 0 <= self.min_p <= 1, "a number from 0 to 1"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "more than 0"),
            ("seed", self.seed is None or -SEEDS <= self.seed < SEEDS, "a whole number of 64 bits"),
            ("stop", all(self.stop), "texts that are not empty"),
        )
        for field, fits, wanted in checks:
            if not fits:
                raise BadSampling(field, getattr(self, field), wanted)

    def arguments(self, most: int) -> dict[str, Any]:
        """The arguments of ``GenerationConfig`` for at most so many tokens; all of them, so that no default is used."""
        sampled = self.temperature > 0
        return {
            "max_new_tokens": most,
            "min_new_tokens": most if self.ignore_eos else 0,
            "do_sample": sampled,
            "temperature": self.temperature if sampled else 1.0,
            "top_p": self.top_p if sampled else 1.0,
            "top_k": self.top_k if sampled else 0,
            "min_p": self.min_p if sampled else 0.0,
            "repetition_penalty": self.repetition_penalty,
        }
