"""Following: pieces of running answers in an event loop, and the end of those that nobody waits for any more."""

from __future__ import annotations

__all__ = ["Stopped", "Told", "follow", "while_connected"]

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from starlette.requests import Request

from mixprec_runtime.adapters.torch.generation import Piece, Run

Told = tuple[int, "Piece | None"]  # which answer; None: it has ended


class Stopped(Exception):
    """An answer that was ended before its time, or that the model failed in; ``fault`` None: the server is ending."""

    def __init__(self, fault: BaseException | None) -> None:
        super().__init__(fault)
        self.fault = fault


async def follow(runs: Sequence[Run]) -> AsyncIterator[Told]:
    """The pieces of all answers as they come. Raises Stopped."""
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[Told] = asyncio.Queue()

    def tell(at: int, piece: Piece | None) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody listens
            loop.call_soon_threadsafe(told.put_nowait, (at, piece))

    for at, run in enumerate(runs):
        run.listen(partial(tell, at))
    left = len(runs)
    while left:
        at, piece = await told.get()
        if piece is None:
            left -= 1
            if runs[at].fault is not None or runs[at].finish == "cancelled":
                raise Stopped(runs[at].fault)
        yield at, piece


@asynccontextmanager
async def while_connected(request: Request, runs: Sequence[Run]) -> AsyncIterator[None]:
    """Within it answers run as long as the client is there; on the way out all of them are ended."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        for run in runs:
            run.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        for run in runs:
            run.cancel()
