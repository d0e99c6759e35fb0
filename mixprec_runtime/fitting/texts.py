"""Texts that losses are measured on: a file of the user's, or a small built-in set; and how they are cut."""

from __future__ import annotations

__all__ = ["Part", "Text", "UnusableText", "builtin_text", "read_text", "windows_of"]

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, islice, zip_longest
from pathlib import Path

from mixprec_doctor.errors import MixprecError

MOST_BYTES = 4 << 20  # of a user's file: far more than is ever measured on
REPLACED = 0.05  # of the characters: with more of them undecodable it is no text
MARK = "\ufffd"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Text of one kind and one origin; the licence of a user's file is not known."""

    title: str
    licence: str | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Text:
    """What is measured on; ``digest`` changes with the words of its parts and their order, and with nothing else."""

    name: str
    parts: tuple[Part, ...]

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal digits."""
        found = hashlib.sha256()
        for part in self.parts:
            found.update(hashlib.sha256(part.text.encode()).digest())
        return found.hexdigest()


class UnusableText(MixprecError):
    """A file that is no text to measure on."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found

    def __str__(self) -> str:
        return f"wanted a UTF-8 text to measure on, found {self.found}: {self.path}; without one a built-in one is used"


def builtin_text(*, judge: bool = False) -> Text:
    """Text that comes with mixprec: what choices are made on, or with ``judge`` what they are judged by.

    The two have nothing in common. A part's file is named for its place, kind, origin and licence
    (``01-prose.carroll-alice-1865.public-domain.txt``).
    """
    half = "judge" if judge else "choose"
    folder = files("mixprec_runtime.fitting") / "texts" / half
    found = sorted((each for each in folder.iterdir() if each.name.endswith(".txt")), key=lambda each: each.name)
    return Text(name=f"built-in ({half})", parts=tuple(_part(each.name, each.read_text("utf-8")) for each in found))


def _part(name: str, text: str) -> Part:
    kind, origin, licence = name.removesuffix(".txt").split(".", 2)
    return Part(title=f"{kind.partition('-')[2]}: {origin}", licence=licence, text=text)


def read_text(path: Path) -> Text:
    """A file as a text of one part: its first 4 MiB, what is no UTF-8 in it replaced. Raises UnusableText."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES)
    except OSError as fault:
        raise UnusableText(str(path), fault.strerror or type(fault).__name__) from fault
    if b"\0" in raw:
        raise UnusableText(str(path), "null bytes (a binary file, or UTF-16)")
    text = raw.decode("utf-8-sig", errors="replace")
    if not text.strip():
        raise UnusableText(str(path), "nothing but white space" if text else "an empty file")
    if text.count(MARK) > max(1, REPLACED * len(text)):
        raise UnusableText(str(path), "bytes that are no UTF-8 (another encoding, or a binary file)")
    return Text(name=path.name, parts=(Part(title=path.name, licence=None, text=text),))


def windows_of(parts_tokens: Sequence[Sequence[int]], *, length: int, count: int) -> list[list[int]]:
    """At most ``count`` windows of ``length`` tokens, one part after the other in turn, so that few are of many kinds.

    What is left at the ends of parts is joined, in their order, and makes the last windows. A text that is shorter
    than one window gives one window of all of it, and none where nothing could be foreseen in it. Raises ValueError
    for a length below 2.
    """
    if length < 2:
        raise ValueError(f"wanted windows of at least 2 tokens, found {length}")
    cut = [list(_whole(part, length)) for part in parts_tokens]
    left = [token for part in parts_tokens for token in part[len(part) - len(part) % length :]]
    in_turn = chain.from_iterable(zip_longest(*cut))
    windows = list(islice(chain((each for each in in_turn if each), _whole(left, length)), count))
    if not windows and count and len(left) >= 2:
        return [left]
    return windows


def _whole(tokens: Sequence[int], length: int) -> Iterator[list[int]]:
    return (list(tokens[start : start + length]) for start in range(0, len(tokens) - length + 1, length))
