"""Application: the routes of the embedded engine's server."""

from __future__ import annotations

__all__ = ["Service", "application"]

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from mixprec_doctor.errors import MixprecError
from mixprec_runtime.adapters.torch.generation import Generator, Run
from mixprec_runtime.adapters.torch.sampling import BadPrompt, TooLong
from mixprec_runtime.adapters.torch.serving.answers import Answers, ChatAnswers, CompletionAnswers
from mixprec_runtime.adapters.torch.serving.following import Stopped, follow, while_connected
from mixprec_runtime.adapters.torch.serving.guarding import Guard
from mixprec_runtime.adapters.torch.serving.refusals import Refusal, answer_to
from mixprec_runtime.adapters.torch.serving.requests import ChatRequest, CompletionRequest, StreamOptions, read_body

logger = logging.getLogger("mixprec.torch")
Prompt = tuple[int, ...]
ENDING = "the server is ending"


def application(service: Service, *, api_key: str | None, max_body_bytes: int) -> Starlette:
    """The routes of a service, behind a key if there is one, and with a largest body."""
    return Starlette(
        routes=[
            Route("/health", service.health, methods=["GET"]),
            Route("/v1/models", service.models, methods=["GET"]),
            Route("/v1/models/{name:path}", service.one_model, methods=["GET"]),
            Route("/v1/completions", service.complete, methods=["POST"]),
            Route("/v1/chat/completions", service.chat, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, api_key=api_key, max_body_bytes=max_body_bytes)],
        exception_handlers={Refusal: answer_to, 404: answer_to, 405: answer_to, Exception: answer_to},
    )


class Service:
    """One loaded mixture, answering under ``names``."""

    def __init__(self, generator: Generator, *, names: Sequence[str], max_waiting: int) -> None:
        self._generator = generator
        self._names = tuple(names)
        self._most_waiting = max_waiting
        self._created = int(time.time())
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mixprec-tokens")  # no tokenizer is shared
        self._ending = False

    def end(self) -> None:
        """Take no more requests, and end those that run."""
        self._ending = True
        self._generator.close()
        self._reading.shutdown()

    async def health(self, request: Request) -> Response:
        """200 as long as requests are taken."""
        return PlainTextResponse(ENDING, status_code=503) if self._ending else PlainTextResponse("")

    async def models(self, request: Request) -> Response:
        """The names that requests may give."""
        return JSONResponse({"object": "list", "data": [self._card(name) for name in self._names]})

    async def one_model(self, request: Request) -> Response:
        """One of them."""
        return JSONResponse(self._card(self._known(request.path_params["name"])))

    async def complete(self, request: Request) -> Response:
        """Continue a text, or several."""
        wish = read_body(CompletionRequest, await _body(request))
        answers = CompletionAnswers(self._known(wish.model), counted=_counts(wish.stream_options))
        asked = wish.prompts()
        prompts = [await self._read(self._tokens_of, each) for each in asked]
        runs = self._start(prompts, [wish.sampling(self._fitting(prompt, wish.most)) for prompt in prompts])
        echoed = [await self._read(self._text_of, each) for each in asked] if wish.echo else [""] * len(asked)
        return await self._answer(request, answers, runs, stream=bool(wish.stream), before=echoed)

    async def chat(self, request: Request) -> Response:
        """The next turn of a conversation."""
        wish = read_body(ChatRequest, await _body(request))
        answers = ChatAnswers(self._known(wish.model), counted=_counts(wish.stream_options))
        messages = [message.plain(at) for at, message in enumerate(wish.messages)]
        prompt = await self._read(self._chat_tokens, messages)
        runs = self._start([prompt], [wish.sampling(self._fitting(prompt, wish.most))])
        return await self._answer(request, answers, runs, stream=bool(wish.stream), before=[""])

    async def _answer(
        self, request: Request, answers: Answers, runs: Sequence[Run], *, stream: bool, before: Sequence[str]
    ) -> Response:
        if stream:
            counted = self._streamed(request, answers, runs, before)
            return StreamingResponse(counted, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        texts = list(before)
        async with while_connected(request, runs):
            try:
                async for at, piece in follow(runs):
                    texts[at] += piece.text if piece is not None else ""
            except Stopped as stopped:
                raise self._told(stopped) from stopped
        return JSONResponse(answers.whole(texts, [str(run.finish) for run in runs], [run.usage for run in runs]))

    async def _streamed(
        self, request: Request, answers: Answers, runs: Sequence[Run], before: Sequence[str]
    ) -> AsyncIterator[str]:
        async with while_connected(request, runs):
            for at, text in enumerate(before):
                if (opening := answers.opening(at)) is not None:
                    yield _event(opening)
                if text:
                    yield _event(answers.piece(at, text))
            try:
                async for at, piece in follow(runs):
                    if piece is None:
                        yield _event(answers.closing(at, str(runs[at].finish)))
                    elif piece.text:
                        yield _event(answers.piece(at, piece.text))
            except Stopped as stopped:
                yield _event(self._told(stopped).body())
                return
            if answers.counted:
                yield _event(answers.counting([run.usage for run in runs]))
            yield "data: [DONE]\n\n"

    def _told(self, stopped: Stopped) -> Refusal:
        if stopped.fault is None:
            return Refusal(503, ENDING, kind="server_error")
        logger.error("mixprec: an answer failed", exc_info=stopped.fault)
        return Refusal(500, f"the model failed: {type(stopped.fault).__name__}", kind="server_error")

    def _start(self, prompts: Sequence[Prompt], samplings: Sequence[Any]) -> list[Run]:
        if self._ending:
            raise Refusal(503, ENDING, kind="server_error")
        if self._generator.waiting + len(prompts) > self._most_waiting:
            raise Refusal(
                503, f"{self._most_waiting} requests are in line already; try again later",
                code="too_many_requests", kind="server_error",
            )  # fmt: skip
        runs: list[Run] = []
        try:
            runs.extend(self._generator.start(each, how) for each, how in zip(prompts, samplings, strict=True))
        except MixprecError as fault:
            for run in runs:
                run.cancel()
            raise _refusal(fault) from fault
        return runs

    def _fitting(self, prompt: Prompt, most: int | None) -> int | None:
        """The wanted number of tokens. Raises Refusal where prompt and answer have no room, or the prompt no sense."""
        context = self._generator.loaded.context
        if not prompt:
            raise Refusal(400, "the prompt is empty")
        if len(prompt) + (most or 1) > context:
            raise Refusal(
                400,
                f"prompt and answer may have {context:,} tokens together; the prompt has {len(prompt):,}"
                + (f", and {most:,} are wanted for the answer" if most else ""),
                param="max_tokens" if most and len(prompt) < context else "prompt",
                code="context_length_exceeded",
            )
        return most

    def _known(self, name: str | None) -> str:
        if name is None:
            return self._names[0]
        if name not in self._names:
            served = ", ".join(self._names)
            raise Refusal(404, f"no model {name[:200]!r} here; served: {served}", param="model", code="model_not_found")
        return name

    def _card(self, name: str) -> dict[str, object]:
        return {
            "id": name, "object": "model", "created": self._created, "owned_by": "mixprec", "root": self._names[0],
            "parent": None, "max_model_len": self._generator.loaded.context,
        }  # fmt: skip

    async def _read(self, how: Callable[..., Any], what: object) -> Any:  # noqa: ANN401
        """Tokens or text, in a thread: a long prompt takes a while."""
        if self._ending:
            raise Refusal(503, ENDING, kind="server_error")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, how, what)
        except MixprecError as fault:
            raise _refusal(fault) from fault

    def _tokens_of(self, prompt: str | list[int]) -> Prompt:
        return self._generator.text_tokens(prompt) if isinstance(prompt, str) else tuple(prompt)

    def _text_of(self, prompt: str | list[int]) -> str:
        decoded: str = prompt if isinstance(prompt, str) else self._generator.loaded.tokenizer.decode(prompt)
        return decoded

    def _chat_tokens(self, messages: list[dict[str, str]]) -> Prompt:
        from jinja2 import TemplateError

        try:
            return self._generator.chat_tokens(messages)
        except TemplateError as fault:
            raise Refusal(
                400, f"the model's chat template refuses these messages: {fault}", param="messages"
            ) from fault


def _refusal(fault: MixprecError) -> Refusal:
    code = "context_length_exceeded" if isinstance(fault, TooLong) else None
    return Refusal(400, str(fault), param="prompt" if isinstance(fault, BadPrompt) else None, code=code)


async def _body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as gone:
        raise Refusal(400, "the client went before its request was there") from gone


def _counts(options: StreamOptions | None) -> bool:
    return options is not None and options.include_usage


def _event(told: dict[str, Any]) -> str:
    return f"data: {json.dumps(told, ensure_ascii=False, separators=(',', ':'))}\n\n"
