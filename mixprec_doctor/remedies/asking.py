"""Asking: many questions to an index at once, with a time limit that holds whatever the network does."""

from __future__ import annotations

__all__ = ["Availability", "Question", "ask_all", "availability"]

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.tags import Tag
from packaging.version import Version

from mixprec_doctor.errors import MixprecError

if TYPE_CHECKING:
    from mixprec_doctor.index.releases import Index

_WORKERS = 8


@dataclass(frozen=True, kw_only=True)
class Question:
    """A requirement, and the place where a line would look for it: None for what pip is set up for."""

    requirement: str
    index: str | None = None
    extra_indexes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Availability:
    """What an index has for a requirement and one interpreter."""

    exists: bool  # a release that is asked for
    fits: bool  # and a file of it that pip would take, be it to build it
    built: bool = False  # no wheel: pip would build it
    nearest: str | None = None  # the nearest version that fits, where none that is asked for does
    known: bool = True  # whether there is a project of that name at all


def availability(index: Index, requirement: str, *, tags: tuple[Tag, ...] | None, python: str | None) -> Availability:
    """Whether the index has what is asked for, and what is nearest to it."""
    from mixprec_doctor.index.errors import NoSuchRelease

    asked = Requirement(requirement)
    exists = False
    try:
        # A bare name would give the newest alone, where pip takes the newest that fits.
        releases = index.find(Requirement(f"{asked.name}{asked.specifier or '>=0'}"), tags=tags, python=python)
        exists = True
        if any(release.fits for release in releases):
            return Availability(exists=True, fits=True)
        if any(not release.file.is_wheel for release in releases):
            return Availability(exists=True, fits=True, built=True)
    except NoSuchRelease as fault:
        if not fault.newest:
            return Availability(exists=False, fits=False, known=False)
    try:
        every = index.find(Requirement(f"{asked.name}>=0"), tags=tags, python=python)
    except NoSuchRelease:
        every = ()
    fitting = [Version(release.version) for release in every if release.fits]
    return Availability(exists=exists, fits=False, nearest=_nearest(asked, fitting))


def ask_all(
    questions: Iterable[Question], ask: Callable[[Question], Availability], *, limit: float
) -> tuple[Mapping[Question, Availability], str | None]:
    """The answers that came in time, and why there are not more; the first of pip's own places that fails ends the
    asking.

    Threads that still wait then are left behind: they do not keep the process from ending.
    """
    waiting: queue.SimpleQueue[Question] = queue.SimpleQueue()
    answered: queue.SimpleQueue[tuple[Question, Availability | MixprecError]] = queue.SimpleQueue()
    every = tuple(dict.fromkeys(questions))
    for question in every:
        waiting.put(question)

    def work() -> None:
        while True:
            try:
                question = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answered.put((question, ask(question)))
            except MixprecError as fault:
                answered.put((question, fault))

    deadline = time.monotonic() + limit
    for _ in range(min(_WORKERS, len(every))):
        threading.Thread(target=work, daemon=True).start()
    answers: dict[Question, Availability] = {}
    reason: str | None = None
    for _ in every:
        try:
            question, answer = answered.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            return answers, f"no answer within {limit:.0f} s"
        if not isinstance(answer, MixprecError):
            answers[question] = answer
            continue
        reason = _words(answer)
        if not question.extra_indexes:  # what pip is set up for; the others would wait for it too
            break
    return answers, reason


def _words(fault: MixprecError) -> str:
    place, reason = getattr(fault, "url", None), getattr(fault, "fault", None)
    return f"{place}: {reason}" if place and reason else str(fault).splitlines()[0]


def _nearest(asked: Requirement, fitting: list[Version]) -> str | None:
    """The newest that is not newer than what is asked for, else the oldest that is."""
    if not fitting:
        return None
    bounds = [Version(each.version.removesuffix(".*")) for each in asked.specifier if each.operator != "!="]
    if not bounds:
        return str(max(fitting))
    older = [version for version in fitting if version <= max(bounds)]
    return str(max(older) if older else min(fitting))
