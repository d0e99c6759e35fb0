"""Diagnosis: a log of a failed start, held against what an examination of the environment finds."""

from __future__ import annotations

__all__ = ["diagnose"]

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import IntEnum
from pathlib import Path, PurePosixPath

from mixprec_doctor.checks import CHECKS
from mixprec_doctor.environment import Target, read_environment
from mixprec_doctor.examination import examine
from mixprec_doctor.records.diagnosis import Diagnosis, Explaining
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.finding import Finding, Severity
from mixprec_doctor.records.machine import Machine
from mixprec_doctor.records.report import Report
from mixprec_doctor.records.traceback import Raised
from mixprec_doctor.source import Exports, Sources
from mixprec_doctor.tracebacks import Root, known_faults, question_of, read_log, root_of
from mixprec_doctor.tracebacks.asking import codes_to_ask, in_package, module_of_file
from mixprec_doctor.tracebacks.questions import Question
from mixprec_doctor.usercode import UnreadableCode
from mixprec_doctor.usercode.moved import homes_of_name

_ABOUT_CODE = frozenset(check.code for check in CHECKS if check.about_code)
_MOST_ASKED = 3
_MOST_SHOWN = 4


def diagnose(
    log: str,
    *,
    python: str | os.PathLike[str] | None = None,
    site_packages: str | os.PathLike[str] | None = None,
    machine: Machine | None = None,
    offline: bool = False,
) -> Diagnosis:
    """What explains a traceback or log, as far as an environment and the log's own words tell; nothing is imported.

    The environment is named as for ``examine``; with ``offline`` no index is asked about remedies. A log that
    nothing explains gives a Diagnosis that says so.
    """
    started = time.perf_counter()
    read = read_log(log)
    root = root_of(read.traces)
    faults = known_faults(str(root.raised)) if root is not None else ()
    if root is None:
        faults = known_faults(read.text[-8000:])
    target = Target(
        python=Path(python) if python is not None else None,
        site_packages=Path(site_packages) if site_packages is not None else None,
    )
    environment = read_environment(target)
    asked: str | None = None
    explaining: tuple[Explaining, ...] = ()
    others = 0
    if root is not None:
        question = question_of(root.raised)
        for code in _codes(root, question, environment):
            found, left = _ask(code, question, root.raised, python=python, site_packages=site_packages, machine=machine)
            if found or asked is None:
                asked, explaining, others = code, found, left
            if any(each.certain for each in found):
                break
        if asked is not None and explaining and not offline:  # only what is told is worth asking an index about
            explaining, others = _ask(
                asked, question, root.raised,
                python=python, site_packages=site_packages, machine=machine, offline=False,
            )  # fmt: skip
    return Diagnosis(
        environment=environment.interpreter.executable or next(iter(environment.site_paths), str(target)),
        raised=root.raised if root else None,
        process=root.trace.process if root else None,
        shown=root.shown if root and root.shown is not root.raised else None,
        where=_where(root.raised, environment) if root else None,
        traces=read.traces,
        asked=asked or None,
        findings=explaining,
        faults=faults,
        others=others,
        elsewhere=_elsewhere(root.raised, environment) if root else None,
        seconds=time.perf_counter() - started,
    )


def _codes(root: Root, question: Question | None, environment: Environment) -> Iterator[str]:
    """What to ask the doctor, the most telling first; empty: only the environment."""
    codes = [*codes_to_ask(root.raised, question)]
    if root.shown is not root.raised:
        codes += codes_to_ask(root.shown, question_of(root.shown))
    if question is not None and question.called:
        codes += _calls(question, root.raised, environment)
    yield from dict.fromkeys(codes[:_MOST_ASKED] or [""])


def _calls(question: Question, raised: Raised, environment: Environment) -> Iterator[str]:
    """A call like the one that was refused, of the class or function as installed packages define it."""
    exports = Exports(Sources.of_environment(environment))
    frames = [module_of_file(frame.file) for frame in reversed(raised.frames)]
    packages = dict.fromkeys([*(each.partition(".")[0] for each in frames if each), "sglang", "vllm"])
    name = question.called or ""
    for package in packages:
        for home in homes_of_name(name, package, exports)[:1] if name.isidentifier() else ():
            keywords = "".join(f"{each}=None, " for each in question.keywords)
            yield f"from {home} import {name}\n{name}({keywords}**{{}})"


def _ask(
    code: str,
    question: Question | None,
    raised: Raised,
    *,
    python: str | os.PathLike[str] | None,
    site_packages: str | os.PathLike[str] | None,
    machine: Machine | None,
    offline: bool = True,
) -> tuple[tuple[Explaining, ...], int]:
    """What explains it, and how many errors are about other things; without code only the environment is asked."""
    try:
        report = examine(
            python=python, site_packages=site_packages, code=code or None, machine=machine, offline=offline
        )
    except UnreadableCode:
        return (), 0
    known = code or question is not None
    explaining = tuple(_explaining(report, question, _raiser(raised))) if known else ()
    told = {(each.finding.code, each.finding.summary) for each in explaining}
    errors = [each for each in report.findings if each.severity is Severity.ERROR]
    return explaining, sum((each.code, each.summary) not in told for each in errors)


def _explaining(report: Report, question: Question | None, raiser: str | None) -> Iterator[Explaining]:
    """The findings that explain it: those that name the very thing, else those about the same package; causes first."""
    verdicts = [_judge(finding, question, raiser) for finding in report.findings]
    best = max(verdicts, default=_Verdict.OTHER)
    if best is _Verdict.OTHER:
        return
    chosen: dict[int, None] = {}
    for index in [index for index, verdict in enumerate(verdicts) if verdict is best][:_MOST_SHOWN]:
        chosen.update(dict.fromkeys((*_causes(report.findings, index), index)))
    for index in chosen:
        yield Explaining(finding=_of_log(report.findings[index]), certain=best >= _Verdict.FAILING)


def _of_log(finding: Finding) -> Finding:
    """The finding in the words of somebody who gave a log and no code."""
    evidence = tuple(re.sub(r"^the code, line \d+: ", "asked about: ", each) for each in finding.evidence)
    return replace(finding, evidence=evidence)


class _Verdict(IntEnum):
    OTHER = 0  # about something else
    LIKELY = 1  # about the same package, and grave
    FAILING = 2  # about the very import or call, and grave
    NAMED = 3  # names the very thing that failed


def _judge(finding: Finding, question: Question | None, raiser: str | None) -> _Verdict:
    about_code = finding.code in _ABOUT_CODE
    error = finding.severity is Severity.ERROR
    if finding.severity is Severity.INFO:
        return _Verdict.OTHER
    if question is None:
        return _Verdict.LIKELY if about_code and error else _Verdict.OTHER
    subjects = finding.subjects or ((finding.engine,) if finding.engine else ())
    related = any(_related(each, other) for each in subjects for other in question.subjects)
    named = any(_mentions(finding, term) for term in question.terms)
    located = any("." in each and _mentions(finding, each.replace(".", "/")) for each in question.subjects)
    of_kind = bool(question.codes) and finding.code.startswith(question.codes)
    if question.between and related and any(_related(each, raiser or "?") for each in subjects):
        return _Verdict.NAMED
    if located or (named and (about_code or related or of_kind or question.called)) or (of_kind and related):
        return _Verdict.NAMED
    if not error:
        return _Verdict.OTHER
    if about_code and related and not question.between:
        return _Verdict.FAILING
    return _Verdict.LIKELY if about_code or related else _Verdict.OTHER


def _mentions(finding: Finding, term: str) -> bool:
    text = "\n".join((finding.summary, finding.cause, *finding.evidence))
    return re.search(rf"(?<![\w.]){re.escape(term)}(?!\w)", text) is not None


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _causes(findings: Sequence[Finding], index: int) -> list[int]:
    """What a finding follows from, the first cause first."""
    above: list[int] = []
    while (code := findings[index].follows) is not None:
        before = [each for each in range(index) if findings[each].code == code]
        if not before:
            break
        index = before[-1]
        above.insert(0, index)
    return above


def _raiser(raised: Raised) -> str | None:
    """The package of the last frame that lies in one."""
    modules = (module_of_file(frame.file) for frame in reversed(raised.frames) if in_package(frame))
    return next((module.partition(".")[0] for module in modules if module), None)


def _where(raised: Raised, environment: Environment) -> str | None:
    """The package that raised it, with its version."""
    package = _raiser(raised)
    owner = next(iter(environment.owners(package)), None) if package else None
    if package is None or owner is None:
        return package
    provided = f" (from {owner.name})" if owner.key != package.replace("_", "-").lower() else ""
    return f"{package} {owner.version or '(version unknown)'}{provided}"


def _elsewhere(raised: Raised, environment: Environment) -> str | None:
    """The site-packages folder of the log, where it is none of the environment's."""
    folders = list(dict.fromkeys(_site_folders(frame.file for frame in raised.frames)))
    known = {str(Path(each).resolve()) for each in environment.site_paths} | set(environment.site_paths)
    if not folders or any(folder in known or str(Path(folder).resolve()) in known for folder in folders):
        return None
    return folders[-1]


def _site_folders(files: Iterable[str]) -> Iterator[str]:
    for file in files:
        parts = PurePosixPath(file).parts
        marks = [index for index, part in enumerate(parts) if part in ("site-packages", "dist-packages")]
        if marks:
            yield str(PurePosixPath(*parts[: marks[-1] + 1]))
