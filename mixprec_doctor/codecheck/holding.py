"""Holding: code that was read, held against what is installed or against the releases that requirements name."""

from __future__ import annotations

__all__ = [
    "Held",
    "Line",
    "NothingOfPackage",
    "Progress",
    "find_former",
    "find_lines",
    "hold_installed",
    "hold_releases",
]

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from packaging.version import Version

from mixprec_doctor.codecheck.judging import Verdicts, judge
from mixprec_doctor.codecheck.needs import Project
from mixprec_doctor.codecheck.ranges import working_range
from mixprec_doctor.codecheck.release import NotKept, ReleaseFacts, installed_facts, release_facts, without_collecting
from mixprec_doctor.codecheck.telling import tell_all
from mixprec_doctor.environment import Target, read_environment
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.index.releases import open_release, usual_index
from mixprec_doctor.index.requirements import find_each
from mixprec_doctor.index.store import Store
from mixprec_doctor.parallel import answer_all
from mixprec_doctor.records.codefinding import Checked, CodeFinding, WorkingRange
from mixprec_doctor.records.finding import Severity
from mixprec_doctor.records.release import Release

Progress = Callable[[int, int], None]  # how many releases are done, of how many
_FEW = 2  # releases that are read here rather than in processes of their own


class NothingOfPackage(MixprecError):
    """A requirement names a distribution without any package that code could import."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, requirement: str) -> None:
        super().__init__(requirement)
        self.requirement = requirement

    def __str__(self) -> str:
        return f"{self.requirement} holds no package that code could import\n  try: name the distribution that does"


@dataclass(frozen=True, kw_only=True)
class Line:
    """The releases of one package of a distribution, oldest first."""

    package: str
    distribution: str
    releases: tuple[Release, ...]


@dataclass(frozen=True, kw_only=True)
class Held:
    """What holding the code against one package gave."""

    checked: Checked
    findings: tuple[CodeFinding, ...]
    range: WorkingRange | None = None
    unread: tuple[tuple[str, str], ...] = ()  # releases that could not be read


def find_lines(requirements: Sequence[str], named: Sequence[str], *, offline: bool) -> tuple[Line, ...]:
    """What requirements name: for each package of ``named`` that a distribution holds its releases; of a distribution
    that holds none of them every package."""
    found: dict[tuple[str, str], dict[str, Release]] = {}
    for requirement in requirements:
        releases = find_each(requirement, offline=offline)
        held = _packages(releases[-1], offline=offline)
        packages = [each for each in held if each in named] or [each for each in held if not each.startswith("_")]
        if not packages:
            raise NothingOfPackage(requirement)
        for package in packages:
            line = found.setdefault((package, releases[-1].distribution), {})
            line |= {each.version: each for each in releases}
    return tuple(
        Line(package=package, distribution=distribution,
             releases=tuple(sorted(line.values(), key=lambda each: Version(each.version))))
        for (package, distribution), line in found.items()
    )  # fmt: skip


def find_former(requirement: str | None, named: Sequence[str], *, offline: bool) -> Mapping[str, Release]:
    """The release that code was written for, by package; the newest that the requirement names."""
    if requirement is None:
        return {}
    return {each.package: each.releases[-1] for each in find_lines((requirement,), named, offline=offline)}


def hold_installed(
    project: Project, target: Target, former: Mapping[str, Release], *, offline: bool
) -> tuple[Held, ...]:
    """The code against every package that it names and that is installed."""
    environment = read_environment(target)
    store = usual_index(offline=offline).store
    held: list[Held] = []
    for package in sorted(project.packages()):
        facts = installed_facts(environment, package, store=store)
        if facts is None:
            continue
        before = _former(former.get(package), package, store, offline=offline)
        verdicts = (judge(project, facts, former=before),)
        checked = Checked(
            package=package, distribution=facts.distribution, versions=(facts.version or "",), installed=True
        )
        findings = tell_all(verdicts, {0: facts}.get, before)
        held.append(Held(checked=checked, findings=findings))
        facts.close()
    return tuple(held)


def hold_releases(
    project: Project,
    lines: Sequence[Line],
    former: Mapping[str, Release],
    progress: Progress | None,
    *,
    offline: bool,
    workers: int | None,
) -> tuple[Held, ...]:
    """The code against every release of every line."""
    total = sum(len(each.releases) for each in lines)
    done = 0
    held: list[Held] = []
    for line in lines:
        verdicts: dict[str, Verdicts] = {}
        for each in _all_verdicts(project, line, former.get(line.package), offline=offline, workers=workers):
            verdicts[each.version or ""] = each
            done += 1
            if progress is not None:
                progress(done, total)
        held.append(_held(line, [verdicts[each.version] for each in line.releases], former, offline=offline))
    return tuple(held)


def _held(line: Line, verdicts: Sequence[Verdicts], former: Mapping[str, Release], *, offline: bool) -> Held:
    store = usual_index(offline=offline).store
    read = [(release, each) for release, each in zip(line.releases, verdicts, strict=True) if each.unreadable is None]
    opened: dict[int, ReleaseFacts] = {}

    def facts_of(at: int) -> ReleaseFacts:
        if at not in opened:
            opened[at] = release_facts(read[at][0], line.package, store=store, offline=offline)
        return opened[at]

    before = _former(former.get(line.package), line.package, store, offline=offline)
    try:
        said = tuple(each for _, each in read)
        findings = tell_all(said, facts_of, before)
    finally:
        for facts in opened.values():
            facts.close()
    versions = tuple(release.version for release, _ in read)
    broken = {v.version or "" for v in said if any(each.severity is Severity.ERROR for each in v.faults)}
    return Held(
        checked=Checked(package=line.package, distribution=line.distribution, versions=versions, installed=False),
        findings=findings,
        range=working_range(line.distribution, versions, broken) if versions else None,
        unread=tuple((f"{line.distribution} {each.version}", each.unreadable or "") for each in verdicts
                     if each.unreadable is not None),
    )  # fmt: skip


def _all_verdicts(
    project: Project, line: Line, former: Release | None, *, offline: bool, workers: int | None
) -> Iterator[Verdicts]:
    """What is kept at once; the rest in processes of their own where it is much."""
    store = usual_index(offline=offline).store
    waiting: list[Release] = []
    before = _former(former, line.package, store, offline=offline, recall=True)
    for release in line.releases:
        facts = release_facts(release, line.package, store=store, recall=True, offline=offline)
        try:
            yield judge(project, facts, former=before)
        except NotKept:
            waiting.append(release)
    work = partial(_judge_release, project=project, package=line.package, former=former, offline=offline)
    failed = partial(_unreadable, distribution=line.distribution)
    with closing(answer_all(waiting, work, failed, workers=1 if len(waiting) <= _FEW else workers)) as answers:
        yield from answers


def _judge_release(
    release: Release, *, project: Project, package: str, former: Release | None, offline: bool
) -> Verdicts:
    store = usual_index(offline=offline).store
    facts = release_facts(release, package, store=store, offline=offline)
    before = _former(former, package, store, offline=offline)
    try:
        with without_collecting():
            return judge(project, facts, former=before)
    finally:
        facts.close()
        if before is not None:
            before.close()


def _unreadable(release: Release, fault: str, *, distribution: str) -> Verdicts:
    return Verdicts(distribution=distribution, version=release.version, unreadable=fault)


def _former(
    release: Release | None, package: str, store: Store, *, offline: bool, recall: bool = False
) -> ReleaseFacts | None:
    if release is None:
        return None
    return release_facts(release, package, store=store, offline=offline, recall=recall)


def _packages(release: Release, *, offline: bool) -> tuple[str, ...]:
    """The import packages of a release's wheel, kept."""
    store = usual_index(offline=offline).store
    key = f"{release.file.key} packages"
    if (text := store.answer(key)) is not None:
        return tuple(json.loads(text))
    with open_release(release, offline=offline) as wheel:
        packages = (*wheel.packages, *wheel.namespaces)
    store.keep_answer(key, json.dumps(packages))
    return packages
