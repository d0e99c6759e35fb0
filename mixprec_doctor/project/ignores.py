"""Ignores: comments ``# mixprec: ignore[MP801]`` in somebody's code, and what they leave of a report."""

from __future__ import annotations

__all__ = ["Comment", "Ignore", "apply_ignores", "comments_in", "mentions_ignores"]

import ast
import difflib
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mixprec_doctor.project.explanations import MISWRITTEN, UNUSED
from mixprec_doctor.records.codefinding import CodeFinding, CodeReport, Place
from mixprec_doctor.records.finding import Finding, Remedy, Severity

_SPEAKS = re.compile(r"(?:^|(?<=[#\s]))#\s*mixprec\s*:\s*(?P<said>[^#]*)")
_IGNORE = re.compile(r"ignore\s*(?:\[(?P<codes>[^\]]*)\]|(?![\w\[])(?!\s*[:,(=]?\s*MP\d))", re.IGNORECASE)
_CODE = re.compile(r"MP\d{1,3}", re.IGNORECASE)
_LIKE = ("disable", "noqa", "off", "skip", "suppress")
_CLUE = b"mixprec"


@dataclass(frozen=True, kw_only=True)
class Code:
    """A code of a comment, or the beginning of one, and its columns."""

    code: str
    column: int
    end_column: int


@dataclass(frozen=True, kw_only=True)
class Ignore:
    """A comment that ignores some codes, or all where it names none, in the lines of one statement."""

    line: int
    column: int
    end_column: int
    codes: tuple[Code, ...]
    first: int
    last: int
    source: str

    def covers(self, found: CodeFinding) -> bool:
        """Whether it ignores a finding of its file."""
        return self.first <= found.place.line <= self.last and (
            not self.codes or any(found.finding.code.startswith(each.code) for each in self.codes)
        )


@dataclass(frozen=True, kw_only=True)
class Comment:
    """A comment that speaks to mixprec and says nothing that it understands."""

    line: int
    column: int
    end_column: int
    source: str


def mentions_ignores(content: bytes) -> bool:
    """Whether a file is worth looking through for comments; most are not."""
    return _CLUE in content


def apply_ignores(report: CodeReport, texts: Iterable[tuple[str, int | None, str]]) -> CodeReport:
    """The report without what comments ignore, and with a warning for each that ignores nothing.

    ``texts`` are files by the names that findings have, each cell of a notebook for itself, as text.
    """
    by_place: dict[tuple[str, int | None], list[CodeFinding]] = {}
    for found in report.findings:
        by_place.setdefault((found.place.file, found.place.cell), []).append(found)
    ignored: set[int] = set()
    added: list[CodeFinding] = []
    for file, cell, text in texts:
        own = by_place.get((file, cell), [])
        for said in comments_in(text):
            if isinstance(said, Comment):
                added.append(_miswritten(said, file, cell))
                continue
            covered = [each for each in own if said.covers(each)]
            ignored.update(map(id, covered))
            added += _unused(said, covered, file, cell)
    left = [each for each in report.findings if id(each) not in ignored]
    if not ignored and not added:
        return report
    merged = sorted([*left, *added], key=lambda each: (each.place.file, each.place.cell or 0, each.place.line))
    return replace(report, findings=tuple(merged), suppressed=report.suppressed + len(ignored))


def comments_in(text: str) -> tuple[Ignore | Comment, ...]:
    """The comments of a text that speak to mixprec; none of a text that is no Python."""
    try:
        spoken = list(_spoken(text))
        spans = _statements(ast.parse(text)) if spoken else []
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return ()
    return tuple(_understood(token, said, spans) for token, said in spoken)


def _spoken(text: str) -> Iterator[tuple[tokenize.TokenInfo, re.Match[str]]]:
    lines = io.StringIO(text, newline=None)
    for token in tokenize.generate_tokens(lines.readline):
        if token.type == tokenize.COMMENT:
            for said in _SPEAKS.finditer(token.string):
                if _IGNORE.match(said["said"]) or _is_like_ignore(said["said"]):
                    yield token, said


def _is_like_ignore(said: str) -> bool:
    word = re.match(r"[\w-]+", said)
    return word is not None and bool(difflib.get_close_matches(word[0].lower(), ("ignore", *_LIKE), n=1, cutoff=0.75))


def _understood(token: tokenize.TokenInfo, said: re.Match[str], spans: Sequence[tuple[int, int]]) -> Ignore | Comment:
    line, before = token.start
    source = token.line.splitlines()[0] if token.line else ""
    column = before + said.start() + 1
    end_column = before + len(said.group().rstrip()) + said.start() + 1
    found = _IGNORE.match(said["said"])
    codes: list[Code] = []
    if found is not None and found["codes"] is not None:
        start = before + said.start("said") + found.start("codes") + 1
        for part in re.finditer(r"[^,\s]+", found["codes"]):
            if not _CODE.fullmatch(part[0]):
                found = None
                break
            codes.append(Code(code=part[0].upper(), column=start + part.start(), end_column=start + part.end()))
        else:
            found = found if codes else None  # empty brackets
    if found is None:
        return Comment(line=line, column=column, end_column=end_column, source=source)
    around = [span for span in spans if span[0] <= line <= span[1]]
    first, last = min(around, key=lambda span: span[1] - span[0], default=(line, line))
    return Ignore(
        line=line, column=column, end_column=end_column, codes=tuple(codes), first=first, last=last, source=source
    )


def _statements(tree: ast.Module) -> list[tuple[int, int]]:
    """First and last line of each statement; of one with a body, those of its head."""
    spans = []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.stmt, ast.ExceptHandler)):
            continue
        first = _first_line(node)
        last = node.end_lineno or node.lineno
        if isinstance(node, ast.Match):
            last = node.cases[0].pattern.lineno - 1
        elif body := getattr(node, "body", None):
            last = _first_line(body[0]) - 1
        spans.append((first, max(first, last)))
    return spans


def _first_line(node: ast.stmt | ast.ExceptHandler) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def _unused(said: Ignore, covered: Sequence[CodeFinding], file: str, cell: int | None) -> Iterator[CodeFinding]:
    if any(UNUSED.startswith(each.code) for each in said.codes):
        return
    if not said.codes and not covered:
        yield _warning(UNUSED, "this comment ignores nothing", said, file, cell, take="the comment")
    for each in said.codes:
        if not any(found.finding.code.startswith(each.code) for found in covered):
            place = replace(said, column=each.column, end_column=each.end_column)
            take = each.code if len(said.codes) > 1 else "the comment"
            yield _warning(UNUSED, f"no {each.code} is found here to ignore", place, file, cell, take=take)


def _miswritten(said: Comment, file: str, cell: int | None) -> CodeFinding:
    return _warning(MISWRITTEN, "this comment is not understood, and ignores nothing", said, file, cell, take=None)


def _warning(
    code: str, summary: str, said: Ignore | Comment, file: str, cell: int | None, *, take: str | None
) -> CodeFinding:
    text = f"take {take} away" if take else "write # mixprec: ignore[MP801], with the codes in brackets"
    return CodeFinding(
        finding=Finding(code=code, severity=Severity.WARNING, summary=summary, remedy=Remedy(text=text)),
        place=Place(
            file=file, line=said.line, column=said.column, end_line=said.line, end_column=said.end_column, cell=cell
        ),
        source=said.source,
        package="mixprec",
        releases=(),
    )
