"""Log: every traceback in a pasted text, put together per process and parsed; bounded in time and size."""

from __future__ import annotations

__all__ = ["Log", "read_log"]

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mixprec_doctor.records.traceback import Frame, Raised, Trace
from mixprec_doctor.tracebacks.frames import frame_at, is_decoration, with_source
from mixprec_doctor.tracebacks.lines import Line, split_streams

_HEAD = "Traceback (most recent call last)"
_LINKS = (
    "During handling of the above exception, another exception occurred",
    "The above exception was the direct cause of the following exception",
)
# `pkg.mod.SomeError: words`, `SomeError`; a lone word counts only right after frames.
_RAISED = re.compile(r"(?P<type>[A-Za-z_][\w.]{0,200}(?:\([\w.]{1,80}\))?)(?::(?: (?P<message>.*))?)?$")
_ALONE = re.compile(
    r"(?:\w{1,40}: )?(?P<type>(?:[a-z_]\w{0,60}\.){0,8}[A-Z]\w{0,80}(?:Error|Exception|Fault)): (?P<message>.+)$"
)
_MOST_WORDS = 40  # lines of one message
_MOST_TRACES = 400


@dataclass(frozen=True, kw_only=True)
class Log:
    """What a pasted text holds: its traces in the order in which they end, and the text without prefixes."""

    traces: tuple[Trace, ...]
    text: str


def read_log(text: str) -> Log:
    """The traces of a text. What is no traceback is passed over; a text without any gives none."""
    traces: list[Trace] = []
    plain: list[Line] = []
    for stream in split_streams(text):
        for chain in _Parser(stream.lines).chains():
            traces.append(Trace(chain=chain, process=stream.process))
        plain += stream.lines
    traces.sort(key=lambda trace: trace.chain[-1].line)
    plain.sort(key=lambda line: line.number)
    return Log(traces=tuple(traces[-_MOST_TRACES:]), text="\n".join(line.text for line in plain))


class _Parser:
    """Reads the lines of one process from the first to the last; every line is looked at once."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._at = 0

    def chains(self) -> list[tuple[Raised, ...]]:
        chains: list[list[Raised]] = []
        linked = False
        while self._at < len(self._lines):
            text = self._text()
            if text.strip().startswith(_LINKS):
                linked = bool(chains)
                self._at += 1
                continue
            raised = self._raised()
            if raised is None:
                linked = linked and not text.strip()
            elif linked:
                chains[-1].append(raised)
                linked = False
            else:
                chains.append([raised])
        return [tuple(chain) for chain in chains]

    def _text(self, indent: int = 0) -> str:
        text = self._lines[self._at].text
        return text[indent:] if not text[:indent].strip() else text

    def _raised(self) -> Raised | None:
        """The exception that begins here: with its head, without it, or a lone line; else one line is passed."""
        text = self._text()
        column = len(text) - len(text.lstrip())
        if _HEAD in text:
            self._at += 1
            return self._after_frames(column if text.lstrip().startswith(_HEAD) else 0)
        if frame_at(text) is not None:
            return self._after_frames(max(column - 2, 0))
        found = _ALONE.match(text.strip())
        if found is None:
            self._at += 1
            return None
        return self._named(found["type"], found["message"], ())

    def _after_frames(self, indent: int) -> Raised | None:
        """The exception beneath frames that stand that far to the right."""
        frames: list[Frame] = []
        while self._at < len(self._lines):
            text = self._text(indent)
            if (frame := frame_at(text)) is not None:
                frames.append(frame)
            elif frames and (shown := with_source(frames[-1], text)) is not None:
                frames[-1] = shown
            elif is_decoration(text) or (frames and text[0].isspace()):
                pass
            elif _HEAD in text or text.startswith(_LINKS):
                return None  # cut off before its message
            elif (found := _RAISED.match(text)) and _is_name(found["type"]):
                return self._named(found["type"], found["message"], tuple(frames), colon=":" in text)
            elif self._lines[self._at].headed:
                return None
            self._at += 1
        return None

    def _named(self, kind: str, message: str | None, frames: tuple[Frame, ...], *, colon: bool = True) -> Raised:
        """The exception whose line this is, with the further lines of its message."""
        first = self._lines[self._at]
        words = [message or ""]
        self._at += 1
        while frames and colon and self._at < len(self._lines) and len(words) < _MOST_WORDS:
            line = self._lines[self._at]
            if not self._goes_on(first, line, words):
                break
            words.append(line.text.rstrip())
            self._at += 1
        return Raised(type=kind, message="\n".join(words).strip(), frames=frames, line=first.number)

    def _goes_on(self, first: Line, line: Line, words: list[str]) -> bool:
        """Whether a line is part of the message that began on another, as far as stamps and indentation tell."""
        text = line.text.strip()
        if (
            line.headed is not first.headed
            or _HEAD in text
            or text.startswith(_LINKS)
            or frame_at(line.text) is not None
        ):
            return False
        if not any(words):
            return True
        return bool(text) and (not first.headed or line.text[0].isspace())


def _is_name(kind: str) -> bool:
    """Exceptions are called like classes, whatever module they are from."""
    last = kind.partition("(")[0].rpartition(".")[2]
    return last[:1].isupper() or last in ("error", "timeout", "gaierror", "herror")
