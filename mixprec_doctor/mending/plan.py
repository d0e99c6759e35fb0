"""Plan: which files a report's certain repairs change, into what, and which of them are left alone and why."""

from __future__ import annotations

__all__ = ["LeftAlone", "Mended", "Mending", "MissingFixer", "plan_mending"]

import ast
import warnings
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mixprec_doctor.errors import MixprecError
from mixprec_doctor.files import LARGEST_SOURCE, read_file
from mixprec_doctor.records.codefinding import CodeFinding, CodeReport, Place, Repair

WRITTEN_KINDS = frozenset({"keyword", "module", "name"})


class MissingFixer(MixprecError):
    """libcst, which writes code without touching the rest of it, is not installed."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        return (
            f"--fix and --diff need libcst, which cannot be imported: {self.fault}\n"
            "  try: python -m pip install libcst, which is the extra mixprec[fix]"
        )


@dataclass(frozen=True, kw_only=True)
class LeftAlone:
    """A certain repair that is not written."""

    place: Place
    repair: Repair
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.repair.old} is left alone: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A file before and after its repairs."""

    file: str
    before: bytes
    after: bytes
    encoding: str
    repairs: tuple[Repair, ...]


@dataclass(frozen=True, kw_only=True)
class Mending:
    """All that would be written, file by file, and what would not."""

    files: tuple[Mended, ...]
    left: tuple[LeftAlone, ...]


def plan_mending(report: CodeReport) -> Mending:
    """What ``--fix`` would write for a report. Reads the files, writes nothing; raises MissingFixer without libcst."""
    try:
        import libcst  # noqa: F401
    except ImportError as fault:
        raise MissingFixer(str(fault)) from None
    wanted = [
        each
        for each in report.findings
        if each.repair is not None and each.repair.certain and each.repair.kind in WRITTEN_KINDS
    ]
    files: list[Mended] = []
    left: list[LeftAlone] = []
    for file, group in groupby(sorted(wanted, key=lambda each: each.place.file), key=lambda each: each.place.file):
        mended, rest = _mend(file, tuple(group))
        files += [mended] if mended is not None else []
        left += rest
    return Mending(files=tuple(files), left=tuple(left))


def _mend(file: str, wanted: tuple[CodeFinding, ...]) -> tuple[Mended | None, list[LeftAlone]]:
    """One file with its repairs, as far as they can be written."""
    from mixprec_doctor.mending.rewriting import Unwritable, rewrite

    if any(each.place.cell is not None for each in wanted):
        return None, _all_left(wanted, "it stands in a notebook, and only Python files are written")
    content = read_file(Path(file), most=LARGEST_SOURCE)
    if content is None:
        return None, _all_left(wanted, "the file cannot be read any more")
    try:
        done = rewrite(content, wanted)
    except Unwritable as fault:
        return None, _all_left(wanted, str(fault))
    left = [
        LeftAlone(place=each.place, repair=each.repair, reason=done.reasons[id(each)])
        for each in wanted
        if each.repair is not None and id(each) in done.reasons
    ]
    if done.content == content:
        return None, left
    if not _is_python(done.content):
        return None, _all_left(wanted, "what would be written is no Python")
    repairs = tuple(each.repair for each in wanted if each.repair is not None and id(each) not in done.reasons)
    mended = Mended(file=file, before=content, after=done.content, encoding=done.encoding, repairs=repairs)
    return mended, left


def _all_left(wanted: tuple[CodeFinding, ...], reason: str) -> list[LeftAlone]:
    return [LeftAlone(place=each.place, repair=each.repair, reason=reason) for each in wanted if each.repair]


def _is_python(content: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
