"""Parallel: the same work on many items in processes of their own; faults and deaths become answers."""

from __future__ import annotations

__all__ = ["answer_all"]

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import TypeVar

from mixprec_doctor.errors import MixprecError

# Two processes for each core: while one waits for the network, the other parses.
_PER_CORE = 2
_MOST_PROCESSES = 32

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


def answer_all(
    items: Sequence[ItemT],
    work: Callable[[ItemT], AnswerT],
    failed: Callable[[ItemT, str], AnswerT],
    *,
    workers: int | None = None,
) -> Generator[AnswerT, None, None]:
    """The answer to each item, in the order in which they get ready; ``failed`` makes that of one with a fault.

    With several workers ``work`` runs in processes of their own, so it and the items must be picklable.
    """
    number = min(workers or _usual_workers(), len(items))
    if number <= 1:
        yield from (_answer(work, failed, each) for each in items)
        return
    left = list(items)
    while left:
        for answer, item in _in_processes(left, work, failed, number):
            left.remove(item)
            yield answer
        # A process died, and with several of them none can be blamed. One alone reads in order: its first
        # release without an answer is what killed it.
        if left and number == 1:
            yield failed(left.pop(0), "the process that read it died without an answer")
        number = 1


def _in_processes(
    items: Sequence[ItemT],
    work: Callable[[ItemT], AnswerT],
    failed: Callable[[ItemT, str], AnswerT],
    number: int,
) -> Iterator[tuple[AnswerT, ItemT]]:
    """Answers with their items; ends early, without an error, when a process dies."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures: dict[Future[AnswerT], ItemT] = {}
        # Submitting starts the processes; a broken pool takes no more, and what it took is still answered.
        with _deaf_to_interrupts(), suppress(BrokenProcessPool):
            for item in items:
                futures[pool.submit(_answer, work, failed, item)] = item
        waiting = set(futures)
        while waiting:
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ready:
                # With a dead process every open future fails at once, beside those that were answered before.
                if not isinstance(future.exception(), BrokenProcessPool):
                    yield future.result(), futures[future]
    except BaseException:
        # Interrupted: what was read is in the cache, nobody waits for the rest.
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started here never see Ctrl-C: the one that started them ends them, without a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _answer(work: Callable[[ItemT], AnswerT], failed: Callable[[ItemT, str], AnswerT], item: ItemT) -> AnswerT:
    """The answer to one; a fault becomes part of it, so that one item never ends all others."""
    try:
        return work(item)
    except MixprecError as fault:
        return failed(item, str(fault))
    except Exception as fault:  # noqa: BLE001  whatever is wrong with one item, the others are answered
        return failed(item, f"{type(fault).__name__}: {fault}")


def _usual_workers() -> int:
    return min(_PER_CORE * len(os.sched_getaffinity(0)), _MOST_PROCESSES)
