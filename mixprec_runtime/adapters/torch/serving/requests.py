"""Requests: bodies of completions and chats, read strictly; what would be answered otherwise than asked is refused."""

from __future__ import annotations

__all__ = ["ChatRequest", "CompletionRequest", "StreamOptions", "read_body"]

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mixprec_runtime.adapters.torch.sampling import BadSampling, Sampling
from mixprec_runtime.adapters.torch.serving.refusals import Refusal

IGNORED = frozenset({
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls",
    "request_id", "priority",
})  # fmt: skip
"""Fields of OpenAI's that change nothing of an answer."""
ABSENT: Mapping[str, tuple[object, ...]] = {
    "n": (1,), "best_of": (1,), "logprobs": (False,), "top_logprobs": (0,), "presence_penalty": (0,),
    "frequency_penalty": (0,), "logit_bias": ({},), "tools": ([],), "tool_choice": ("none", "auto"),
    "functions": ([],), "function_call": ("none",), "response_format": ({"type": "text"},), "modalities": (["text"],),
    "suffix": ("",), "audio": (), "prediction": (), "reasoning_effort": (), "web_search_options": (),
}  # fmt: skip
"""Fields of OpenAI's that this engine does not serve, with the values that ask for nothing."""
STOPS = 16
PROMPTS = 16
Size = Annotated[int, Field(ge=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Tokens = list[int]


class StreamOptions(BaseModel):
    """What a stream tells beside its pieces."""

    model_config = ConfigDict(strict=True)
    include_usage: bool = False


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    model: str | None = None
    max_tokens: Size | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Number | None = None
    top_k: int | None = None
    min_p: Number | None = None
    repetition_penalty: Number | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=STOPS)] | None = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def sampling(self, most: int | None) -> Sampling:
        """How tokens are chosen, at most so many. Raises Refusal."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        named = ("temperature", "top_p", "min_p", "repetition_penalty", "seed", "ignore_eos")
        given: dict[str, Any] = {name: value for name in named if (value := getattr(self, name)) is not None}
        if self.top_k is not None:
            given["top_k"] = max(self.top_k, 0)  # -1 is everybody's word for all tokens
        try:
            return Sampling(max_tokens=most, stop=stop, **given)
        except BadSampling as fault:
            raise Refusal(400, str(fault), param=fault.field) from fault


class ContentPart(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(strict=True, extra="allow")
    type: str
    text: str | None = None


class ChatMessage(BaseModel):
    """A turn of a conversation."""

    model_config = ConfigDict(strict=True, extra="allow")
    role: Annotated[str, Field(min_length=1)]
    content: str | list[ContentPart] | None = None

    def plain(self, at: int) -> dict[str, str]:
        """The turn as templates take it. Raises Refusal for what is no text."""
        place = f"messages.{at}.content"
        if (self.model_extra or {}).get("tool_calls"):
            raise Refusal(422, "this engine does not serve tool calls", param=f"messages.{at}.tool_calls")
        if self.content is None:
            raise Refusal(400, f"{place}: a turn needs a text", param=place)
        if isinstance(self.content, str):
            return {"role": self.role, "content": self.content}
        for part in self.content:
            if part.type != "text":
                raise Refusal(422, f"{place}: this engine takes text, not {part.type[:40]}", param=place)
            if part.text is None:
                raise Refusal(400, f"{place}: a part of type text needs a text", param=place)
        return {"role": self.role, "content": "".join(part.text or "" for part in self.content)}


class ChatRequest(_Request):
    """The body of ``/v1/chat/completions``."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Size | None = None

    @property
    def most(self) -> int | None:
        """Tokens of the answer; None: as many as there is room for."""
        return self.max_completion_tokens or self.max_tokens


class CompletionRequest(_Request):
    """The body of ``/v1/completions``."""

    prompt: str | list[str] | Tokens | list[Tokens]
    echo: bool | None = None

    @property
    def most(self) -> int:
        """Tokens of the answer; as few as OpenAI's own where nothing is said."""
        return self.max_tokens or 16

    def prompts(self) -> list[str | Tokens]:
        """One or several. Raises Refusal for none, or too many."""
        raw = self.prompt
        single = isinstance(raw, str) or (bool(raw) and isinstance(raw[0], int))
        several: list[Any] = [raw] if single else list(raw)
        if not 1 <= len(several) <= PROMPTS:
            raise Refusal(400, f"prompt: wanted 1 to {PROMPTS} prompts, found {len(several)}", param="prompt")
        return several


R = TypeVar("R", bound=_Request)


def read_body(kind: type[R], body: bytes) -> R:
    """The request that a body holds. Raises Refusal with the first fault."""
    try:
        found = kind.model_validate_json(body)
    except ValidationError as invalid:
        raise _refusal(invalid) from None
    known = sorted({*kind.model_fields, *IGNORED, *ABSENT})
    for name, value in (found.model_extra or {}).items():
        if value is None or name in IGNORED:
            continue
        if name not in ABSENT:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise Refusal(400, f"unknown field {name[:80]!r}{hint}", param=name[:80], code="unknown_field")
        if not any(
            value == nothing and isinstance(value, bool) is isinstance(nothing, bool) for nothing in ABSENT[name]
        ):
            raise Refusal(422, f"this engine does not serve {name}; leave it out", param=name, code="unsupported_field")
    if found.stream_options is not None and not found.stream:
        raise Refusal(400, "stream_options: only a stream has them", param="stream_options")
    return found


def _refusal(invalid: ValidationError) -> Refusal:
    first = invalid.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"] if not (isinstance(part, str) and _is_type(part)))
    words = str(first["msg"])
    text = f"{place}: {words[0].lower()}{words[1:]}" if place else f"the body: {words[0].lower()}{words[1:]}"
    return Refusal(400, text[:500], param=place[:80] or None)


def _is_type(part: str) -> bool:
    """Whether pydantic put it into a place to name a member of a union."""
    return part in ("str", "int", "float") or part.startswith(("list[", "constrained-", "function-"))
