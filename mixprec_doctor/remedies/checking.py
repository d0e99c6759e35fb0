"""Checking: every install command of the findings against the indexes that pip is set up for."""

from __future__ import annotations

__all__ = ["check_remedies"]

from collections.abc import Iterable, Mapping
from dataclasses import replace

from packaging.requirements import Requirement

from mixprec_doctor.environment.requirement import parse_requirement
from mixprec_doctor.records.environment import Environment
from mixprec_doctor.records.finding import Finding, Remedy, Severity
from mixprec_doctor.remedies.asking import Availability, Question, ask_all, availability
from mixprec_doctor.remedies.commands import Install, read_install

_LIMIT = 5.0  # seconds, for all together
_TORCH_INDEX = "https://download.pytorch.org/whl/"  # it has the builds that PyPI refuses for their local versions
_BUILDS = ("cpu", "cu", "rocm", "xpu")


def check_remedies(
    findings: Iterable[Finding], environment: Environment, *, offline: bool = False, limit: float = _LIMIT
) -> tuple[Finding, ...]:
    """The findings, their install commands confirmed or mended; nothing is asked for notes, or where all is well.

    A version that no index has, or that has no file for the interpreter, is replaced by the nearest that has. Where
    an index does not answer, the commands stay as they are and the remedy says that nobody checked them.
    """
    findings = tuple(findings)
    installs = {line: _complete(install, environment) for line, install in _installs(findings)}
    if not installs:
        return findings
    if offline:
        return _unchecked(findings, installs, "offline was asked for")
    from mixprec_doctor.remedies.places import find_places, fitting_tags  # all that speaks to a server comes with it

    places = find_places(environment)
    if isinstance(places, str):
        return _unchecked(findings, installs, places)
    tags, python = fitting_tags(environment)

    def ask(question: Question) -> Availability:
        return availability(places.index(question), question.requirement, tags=tags, python=python)

    questions = [question for install in installs.values() for question in _questions(install)]
    answers, reason = ask_all(questions, ask, limit=limit)
    return tuple(_checked(finding, installs, answers, reason) for finding in findings)


def _installs(findings: Iterable[Finding]) -> Iterable[tuple[str, Install]]:
    for finding in findings:
        if finding.severity is Severity.INFO:
            continue  # nobody has to type what a note says
        for line in finding.remedy.commands if finding.remedy else ():
            if (install := read_install(line)) is not None:
                yield line, install


def _complete(install: Install, environment: Environment) -> Install:
    """With the index of torch's own builds, where a line asks for one of them or for what requires one."""
    if install.index is not None or install.extra_indexes:
        return install
    asked = list(install.requirements)
    for name in () if install.alone else install.requirements:
        requirement = parse_requirement(name)
        owner = environment.find(requirement.name) if requirement is not None else None
        asked += owner.requires if owner is not None else ()
    builds = dict.fromkeys(build for text in asked if (build := _build(text)) is not None)
    return replace(install, extra_indexes=tuple(f"{_TORCH_INDEX}{build}" for build in builds))


def _build(text: str) -> str | None:
    """The local version that a requirement pins, where it names a build of torch's own index."""
    requirement = parse_requirement(text) if "+" in text else None
    for each in requirement.specifier if requirement is not None and "extra ==" not in text else ():
        local = each.version.partition("+")[2]
        if local.startswith(_BUILDS):
            return local
    return None


def _questions(install: Install) -> Iterable[Question]:
    """Of what pip is set up for first; torch's own index is only asked for what needs it."""
    for text in install.requirements:
        own = install.extra_indexes if _build(text) or install.index else ()
        yield Question(requirement=text, index=install.index, extra_indexes=own)


def _checked(
    finding: Finding, installs: Mapping[str, Install], answers: Mapping[Question, Availability], fault: str | None
) -> Finding:
    remedy = finding.remedy
    if remedy is None or not any(line in installs for line in remedy.commands):
        return finding
    commands: list[str] = []
    notes: list[str] = []
    verdicts: list[bool | None] = []
    for line in remedy.commands:
        install = installs.get(line)
        if install is None:
            commands.append(line)
            continue
        changes: dict[str, str | None] = {}
        for question in _questions(install):
            answer = answers.get(question)
            verdicts.append(None if answer is None else answer.fits)
            if answer is not None:
                _apply(question.requirement, answer, changes, notes)
        written = _write(line, install, changes)
        commands += [written] if written is not None else []
    checked = False if False in verdicts else None if None in verdicts else True
    if checked is None or (fault and None in verdicts):
        notes.append(f"not checked against the index: {fault or 'no answer'}")
    text = remedy.text + (f" ({'; '.join(dict.fromkeys(notes))})" if notes else "")
    return replace(finding, remedy=replace(remedy, text=text, commands=tuple(commands), checked=checked))


def _apply(text: str, answer: Availability, changes: dict[str, str | None], notes: list[str]) -> None:
    """What becomes of one requirement of a line."""
    requirement = Requirement(text)
    if answer.built:
        notes.append(f"the index has no wheel of {requirement.name} that fits, pip would build it")
    if answer.fits:
        return
    why = f"{text} has no wheel for this interpreter" if answer.exists else f"the index has no {text}"
    if answer.nearest is not None:
        changes[text] = f"{requirement.name}=={answer.nearest}"
        notes.append(f"{why}; {answer.nearest} is the nearest that fits")
    else:
        changes[text] = None
        notes.append(f"{why}, and nothing near it" if answer.known else f"the index has no {requirement.name}")


def _write(line: str, install: Install, changes: Mapping[str, str | None]) -> str | None:
    given = read_install(line)
    further = install.extra_indexes if given is not None and not given.extra_indexes else ()
    if not changes and not further:
        return line
    return install.rewritten(changes, extra_indexes=further)


def _unchecked(findings: tuple[Finding, ...], installs: Mapping[str, Install], reason: str) -> tuple[Finding, ...]:
    return tuple(
        _checked(finding, installs, {}, reason) if _installs_something(finding.remedy, installs) else finding
        for finding in findings
    )


def _installs_something(remedy: Remedy | None, installs: Mapping[str, Install]) -> bool:
    return remedy is not None and any(line in installs for line in remedy.commands)
