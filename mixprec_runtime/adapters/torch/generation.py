"""Generation: answers by transformers' own ``generate``, streamed piece by piece, several at once, stopped at will."""

from __future__ import annotations

__all__ = ["Generator", "Piece", "Run", "Usage"]

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from mixprec_runtime.adapters.torch.opening import Loaded
from mixprec_runtime.adapters.torch.sampling import BadPrompt, NoChatTemplate, Sampling, TooLong
from mixprec_runtime.adapters.torch.turns import Turn, Turns
from mixprec_runtime.adapters.torch.wording import Wording

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of an answer: whole characters, and the tokens that came with them."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of a request."""

    prompt: int
    completion: int


class Run:
    """One request on its way: iterate over its pieces, or ``listen``; ``cancel`` from any thread."""

    def __init__(self, prompt: Sequence[int], sampling: Sampling, wording: Wording) -> None:
        self.sampling = sampling
        self.finish: str | None = None  # "stop", "length" or "cancelled", once it has ended
        self.fault: BaseException | None = None  # what the model raised
        self._prompt = tuple(prompt)
        self._wording = wording
        self._made: list[int] = []
        self._untold: list[int] = []
        self._pieces: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._listener: Callable[[Piece | None], None] | None = None
        self._telling = threading.Lock()
        self._cancelled = threading.Event()
        self._ended = threading.Event()

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return Usage(prompt=len(self._prompt), completion=len(self._made))

    def cancel(self) -> None:
        """End it before its next token; its memory is freed then."""
        self._cancelled.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; whether that came in time."""
        return self._ended.wait(seconds)

    def __iter__(self) -> Iterator[Piece]:
        """Pieces as they come. Raises what the model raised."""
        while (piece := self._pieces.get()) is not None:
            yield piece
        self._pieces.put(None)  # for whoever iterates again
        if self.fault is not None:
            raise self.fault

    def text(self) -> str:
        """The whole answer, or what is left of it to come. Raises what the model raised."""
        return "".join(piece.text for piece in self)

    def listen(self, listener: Callable[[Piece | None], None]) -> None:
        """Hand each piece to a function, from the thread that makes it; None at the end. Iterating gives none then."""
        with self._telling:
            with contextlib.suppress(queue.Empty):
                while True:
                    listener(self._pieces.get_nowait())
            self._listener = listener

    def _tell(self, piece: Piece | None) -> None:
        with self._telling:
            if self._listener is None:
                self._pieces.put(piece)
            else:
                self._listener(piece)

    def _add(self, token: int) -> None:
        self._made.append(token)
        self._untold.append(token)
        self._say(self._wording.add(token))

    def _say(self, text: str) -> None:
        if text:
            told, self._untold = tuple(self._untold), []
            self._tell(Piece(text=text, tokens=told))

    def _end(self, finish: str | None, fault: BaseException | None = None) -> None:
        self.finish, self.fault = finish, fault
        if fault is None:
            self._say(self._wording.rest())
        self._ended.set()
        self._tell(None)


class _AfterEachToken(StoppingCriteria):
    """Called by ``generate`` after each token: tells it, and says whether to go on."""

    def __init__(self, run: Run, turn: Turn, end_tokens: frozenset[int]) -> None:
        self._run = run
        self._turn = turn
        self._end_tokens = end_tokens
        self.finish = "length"

    def __call__(self, input_ids: torch.Tensor, scores: Any, **more: Any) -> torch.Tensor:  # noqa: ANN401
        token = int(input_ids[0, -1])
        self._run._add(token)
        if self._run._wording.stopped or token in self._end_tokens:
            self.finish = "stop"
        elif self._run._cancelled.is_set():
            self.finish = "cancelled"
        else:
            self._turn.pass_on()
            if self._run._cancelled.is_set():
                self.finish = "cancelled"
        return torch.tensor([self.finish != "length"], device=input_ids.device)


class Generator:
    """Answers of one model: at most ``running`` at once, taking turns token by token; others wait in line."""

    def __init__(self, loaded: Loaded, *, running: int = 4) -> None:
        self.loaded = loaded
        self._turns = Turns()
        self._pool = ThreadPoolExecutor(max_workers=running, thread_name_prefix="mixprec-answer")
        self._runs: set[Run] = set()
        self._active = 0
        self._lock = threading.Lock()
        ends = loaded.model.generation_config.eos_token_id
        self._end_tokens = frozenset([ends] if isinstance(ends, int) else ends or ())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def active(self) -> int:
        """Requests that hold memory of the model."""
        with self._lock:
            return self._active

    @property
    def waiting(self) -> int:
        """Requests in line."""
        with self._lock:
            return len(self._runs) - self._active

    def text_tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of a text, as the tokenizer begins one."""
        return tuple(self.loaded.tokenizer(text)["input_ids"])

    def chat_tokens(self, messages: Sequence[Mapping[str, Any]], **more: Any) -> tuple[int, ...]:  # noqa: ANN401
        """The tokens of a conversation, up to where the answer begins. Raises NoChatTemplate.

        ``more`` goes to the template (``tools`` and the like).
        """
        tokenizer = self.loaded.tokenizer
        if tokenizer.chat_template is None:
            raise NoChatTemplate(str(self.loaded.folder))
        text = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False, **more)
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

    def start(self, prompt: Sequence[int], sampling: Sampling | None = None) -> Run:
        """Put a request in line. Raises BadPrompt, TooLong."""
        size = self.loaded.model.get_input_embeddings().num_embeddings
        if not prompt:
            raise BadPrompt("is empty")
        if wrong := next((token for token in prompt if not 0 <= token < size), None):
            raise BadPrompt(f"has the token {wrong}, of a vocabulary of {size:,}")
        if len(prompt) + 1 > self.loaded.context:
            raise TooLong(len(prompt), self.loaded.context)
        wanted = sampling or Sampling()
        run = Run(prompt, wanted, Wording(self.loaded.tokenizer, wanted.stop))
        with self._lock:
            self._runs.add(run)
        self._pool.submit(self._serve, run)
        return run

    def close(self) -> None:
        """End all requests, and wait for that."""
        with self._lock:
            for run in self._runs:
                run.cancel()
        self._pool.shutdown(wait=True)

    def _serve(self, run: Run) -> None:
        with self._lock:
            self._active += 1
        finish, fault = None, None
        try:
            finish = "cancelled" if run._cancelled.is_set() else self._answer(run)
        except BaseException as raised:  # noqa: BLE001  whoever asked is told
            fault = raised
        with self._lock:
            self._active -= 1
            self._runs.discard(run)
        run._end(finish, fault)

    def _answer(self, run: Run) -> str:
        model = self.loaded.model
        room = self.loaded.context - len(run._prompt)
        most = min(room, run.sampling.max_tokens or room)
        config = GenerationConfig(
            **run.sampling.arguments(most),
            eos_token_id=sorted(self._end_tokens) or None,
            pad_token_id=min(self._end_tokens, default=0),
            bos_token_id=model.generation_config.bos_token_id,
        )
        tokens = torch.tensor([run._prompt], dtype=torch.int64, device=model.device)
        turn = Turn(self._turns, run.sampling.seed)
        with turn:
            after = _AfterEachToken(run, turn, self._end_tokens)
            model.generate(
                tokens, attention_mask=torch.ones_like(tokens), generation_config=config,
                stopping_criteria=StoppingCriteriaList([after]),
            )  # fmt: skip
        return after.finish
