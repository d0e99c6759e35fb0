"""Checking: some code, read once, held against what is installed or against releases; the verb of `mixprec check`."""

from __future__ import annotations

__all__ = ["USUAL", "check"]

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mixprec_doctor.codecheck.comments import heed_comments
from mixprec_doctor.codecheck.files import find_files
from mixprec_doctor.codecheck.holding import Progress, find_former, find_lines, hold_installed, hold_releases
from mixprec_doctor.codecheck.ladders import find_ladders
from mixprec_doctor.codecheck.reading import read_project
from mixprec_doctor.codecheck.release import without_collecting
from mixprec_doctor.environment import Target
from mixprec_doctor.records.codefinding import CodeFinding, CodeReport

USUAL = ("sglang", "vllm")


def check(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    against: Iterable[str] = (),
    from_: str | None = None,
    packages: Iterable[str] = (),
    python: str | os.PathLike[str] | None = None,
    site_packages: str | os.PathLike[str] | None = None,
    exclude: Sequence[str] = (),
    offline: bool = False,
    progress: Progress | None = None,
    workers: int | None = 1,
) -> CodeReport:
    """Hold the Python files and notebooks below some paths against packages, without running anything of either.

    ``against`` are requirements whose releases are read from the index, one or many; without any it is what is
    installed: for the running interpreter, ``python`` or ``site_packages``. ``packages`` are import packages beside
    ``sglang`` and ``vllm``. ``from_`` names the release that the code was written for. Comments ``# mixprec: ignore``
    are heeded. Releases that were never read are read one by one; with more ``workers``, or None for as many as there
    are cores, in processes of their own, for which a script needs its ``if __name__ == "__main__"``.
    """
    began = time.perf_counter()
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    named = tuple(dict.fromkeys((*packages, *USUAL)))
    with without_collecting():
        lines = find_lines(tuple(against), named, offline=offline)
        former = find_former(from_, named, offline=offline)
        project = read_project(given, {*named, *(each.package for each in lines)}, exclude=exclude)
        target = Target(
            python=Path(python) if python is not None else None,
            site_packages=Path(site_packages) if site_packages is not None else None,
        )
        if not lines and not tuple(against):
            held = hold_installed(project, target, former, offline=offline)
        else:
            held = hold_releases(project, lines, former, progress, offline=offline, workers=workers)
    report = CodeReport(
        files=project.files,
        checked=tuple(each.checked for each in held),
        findings=tuple(
            sorted((*(found for each in held for found in each.findings), *find_ladders(project)), key=_order)
        ),
        ranges=tuple(
            each.range for each in held if each.range is not None and each.checked.package in project.packages()
        ),
        unheld=tuple(sorted(project.packages() - {each.checked.package for each in held})),
        unread=(*project.unread, *(note for each in held for note in each.unread)),
    )
    heeded = heed_comments(report, find_files(given, exclude=exclude))
    return replace(heeded, seconds=time.perf_counter() - began)


def _order(found: CodeFinding) -> tuple[str, int, int, int, str, str]:
    place = found.place
    return place.file, place.cell or 0, place.line, place.column, found.finding.code, found.finding.summary
