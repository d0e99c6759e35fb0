"""Lines of a log without what loggers, containers and terminals put in front of them, sorted by process."""

from __future__ import annotations

__all__ = ["Line", "Stream", "split_streams"]

import re
from dataclasses import dataclass, field

MOST_CHARACTERS = 4 * 2**20  # more than any start of a server writes; of longer logs the two ends are read
_LONGEST_LINE = 4000
_ANSI = re.compile(r"\x1b\[[0-9;?]{0,40}[A-Za-z]|\x1b\][^\x07]{0,400}\x07")

# What names the process of a line, on every line: these lines are put together again per process.
_PROCESS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\((?P<process>[^()\n]{0,100}\bpid=\d+[^()\n]{0,80})\)(?: |$)",  # vLLM, Ray
        r"\((?P<process>VllmWorker[^)]{1,80}|[A-Za-z]\w{0,60}(?:_DP\d+|_TP\d+|_PP\d+)+)\)(?: |$)",
        r"\[(?P<process>rank\d{1,5}|default\d{1,5})\]:(?: |$)",  # PyTorch
        r"(?P<process>[A-Za-z][\w.-]{0,60}?[-_]\d{1,3})\s{0,20}\|(?: |$)",  # docker compose
    )
)
# What only says when and where from; the lines of one record that follow do not carry it.
_STAMP = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]\n]{1,120}\](?: |$)",  # vLLM
        r"\[\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[^\]\n]{0,60}\](?::)?(?: |$)",  # SGLang
        # containers
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.,\d]{0,12}(?:Z|[+-]\d\d:?\d\d)?(?: std(?:out|err) [FP])?(?: |$)",
        r"\d{4}[-/]\d\d[-/]\d\d \d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?\[?-? ?(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\]?)?"
        r"(?: [\w.]{1,80}:)?(?: -)?(?: |$)",
        r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,80} [\w./@-]{1,80}\[\d+\]:(?: |$)",  # journald
        r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL):[\w.]{1,80}:(?: |$)?",  # logging's own
        r"[EWI]\d{4} \d\d:\d\d:\d\d\.\d{1,9} [^\]\n]{1,120}\](?: |$)",  # glog, torchrun
    )
)
_QUOTE = re.compile(r"(?:> ?){1,3}|E {3}(?=\S)|\| (?=\s|\w|File )|│ ?|\+ (?=Exception Group)")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the log: its number, and its text without prefixes. ``headed``: a record of a logger begins."""

    number: int
    text: str
    headed: bool


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The lines of one process in their order; None: those that name no process."""

    process: str | None
    lines: list[Line] = field(default_factory=list)


def split_streams(text: str) -> tuple[Stream, ...]:
    """The streams of a log in the order in which they begin."""
    streams: dict[str | None, Stream] = {}
    for number, raw in _lines(text):
        process, line, headed = _strip(raw)
        stream = streams.setdefault(process, Stream(process=process))
        stream.lines.append(Line(number=number, text=line, headed=headed))
    return tuple(streams.values())


def _lines(text: str) -> list[tuple[int, str]]:
    """Numbered lines; of a log that is too long the first and the last part."""
    numbered = list(enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1))
    if len(text) <= MOST_CHARACTERS:
        return numbered
    kept, size = [], 0
    for each in numbered:
        if (size := size + len(each[1]) + 1) > MOST_CHARACTERS // 4:
            break
        kept.append(each)
    tail, size = [], 0
    for each in reversed(numbered[len(kept) :]):
        if (size := size + len(each[1]) + 1) > MOST_CHARACTERS * 3 // 4:
            break
        tail.append(each)
    return [*kept, *reversed(tail)]


def _strip(raw: str) -> tuple[str | None, str, bool]:
    """The process of a line, its text, and whether a logger's stamp stood before it."""
    text = _ANSI.sub("", raw[:_LONGEST_LINE]).rstrip()
    process: str | None = None
    headed = False
    for _ in range(4):  # docker's prefix before vLLM's process before its stamp
        found = next((match for pattern in _PROCESS if (match := pattern.match(text))), None)
        if found:
            process, text = found["process"], text[found.end() :]  # of two names the inner one says more
            continue
        found = next((match for pattern in _STAMP if (match := pattern.match(text))), None)
        if found:
            headed, text = True, text[found.end() :]
            continue
        found = _QUOTE.match(text.lstrip())
        if not found:
            break
        text = text.lstrip()[found.end() :].removesuffix("│").rstrip()
    return process, text, headed
