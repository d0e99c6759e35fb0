"""``mixprec resolve``."""

from __future__ import annotations

__all__ = ["resolve"]

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixprec_doctor.cli.options import check_target, no_collection, target_options, write
from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.answers import Answers
from mixprec_doctor.records.environment import Environment, InstalledEngine
from mixprec_doctor.records.resolution import Resolution, Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.reports.page import page_for
from mixprec_doctor.reports.resolutions import answers_document, render_answers
from mixprec_doctor.resolving.engine import open_engine
from mixprec_doctor.resolving.layout import LAYOUTS, find_layout

if TYPE_CHECKING:
    from mixprec_doctor.records.release import Release
    from mixprec_doctor.resolving.releases import Question

_ENGINES = tuple(layout.engine for layout in LAYOUTS)


class NotInstalled(MixprecError):
    """There is no engine to resolve names in."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, place: str, wanted: str) -> None:
        super().__init__(place, wanted)
        self.place = place
        self.wanted = wanted

    def __str__(self) -> str:
        return (
            f"{self.place} has no {self.wanted}\n"
            "  try: mixprec resolve --python /path/to/the/engine's/python\n"
            "  or a release that is not installed: mixprec resolve vllm==0.33.0"
        )


class NothingRead(MixprecError):
    """None of the releases could be read; each was told with its fault."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count

    def __str__(self) -> str:
        return f"none of {self.count} releases could be read"


@click.command()
@click.argument("requirements", nargs=-1, metavar="[REQUIREMENT]...")
@target_options
@click.option("--engine", type=click.Choice(_ENGINES), help="The engine, where an environment has both.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="A role, e.g. fp8.config; all without it.")
@click.option("--symbol", "symbols", multiple=True, metavar="NAME", help="A name of the engine, e.g. Fp8Config.")
@click.option("--needs", is_flag=True, help="Also say all that importing each role needs and that is not installed.")
@click.option("--offline", is_flag=True, help="Ask no index: answer from what is kept.")
@click.option("--thorough", is_flag=True, help="Fetch a whole release from the index to look for a --symbol.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def resolve(
    *,
    requirements: tuple[str, ...],
    python: Path | None,
    site_packages: Path | None,
    engine: str | None,
    roles: tuple[str, ...],
    symbols: tuple[str, ...],
    needs: bool,
    offline: bool,
    thorough: bool,
    format_: str,
) -> int:
    """Say where a role or name lives in an engine and how it is called, without importing or installing it.

    Without REQUIREMENT in the environment of this interpreter, or that of --python or --site-packages. A
    REQUIREMENT is a release on the index that pip is set up for ('sglang==0.4.7'; 'vllm>=0.30' for every release
    in the range; 'vllm' for the newest) or the path of a wheel. Exit code: 0 all found, 1 something is missing,
    2 misuse, 3 nothing could be read.
    """
    check_target(python, site_packages)
    if requirements and (python or site_packages):
        raise click.UsageError("a REQUIREMENT is read by itself; --python and --site-packages name an environment")
    if folder := next((each for each in requirements if Path(each).is_dir()), None):
        raise click.UsageError(f"{folder} is a folder, no release: give it with --site-packages")
    if roles and symbols:
        raise click.UsageError("--role and --symbol ask two different questions; give one")
    wanted = _roles(roles)
    with no_collection():
        if requirements:
            answers = _of_requirements(requirements, wanted, symbols, offline=offline, thorough=thorough)
        else:
            target = Target(python=python, site_packages=site_packages)
            answers = [_installed(target, engine, wanted, symbols, needs=needs)]
        text = answers_document(answers) if format_ == "json" else render_answers(answers, page_for(sys.stdout))
    write(text, None)
    missing = any(_lacks(each, excuse=not roles) for each in answers)
    return int(ExitCode.FINDINGS if missing else ExitCode.CLEAN)


def _lacks(answers: Answers, *, excuse: bool) -> bool:
    """Whether something is missing. With no role named, those that the engine has no counterpart of are no fault."""
    excused = find_layout(answers.package).absent if excuse else {}
    roles = [
        each
        for each in answers.roles or ()
        if each.needs or (each.status is not Status.FOUND and each.role not in excused)
    ]
    return bool(roles) or any(not (each.defined or each.importable) for each in answers.symbols or ())


def _installed(
    target: Target, wanted: str | None, roles: tuple[Role, ...], symbols: Sequence[str], *, needs: bool
) -> Answers:
    environment = read_environment(target)
    engine = _engine(environment, wanted, target)
    source = open_engine(environment, engine.engine)
    answers = Answers(
        package=engine.engine,
        version=engine.version,
        distribution=engine.distribution,
        roles=None if symbols else source.roles(roles or tuple(Role)),
        symbols=tuple(source.symbol(name) for name in symbols) if symbols else None,
    )
    if not needs or not answers.roles:
        return answers
    from mixprec_doctor.resolving.providers import cure

    found = tuple(source.with_needs(role) for role in answers.roles)
    lacking = {need.import_name: need for role in found for need in role.needs or ()}
    return replace(answers, roles=found, cure=cure(list(lacking.values()), environment) if lacking else None)


def _of_requirements(
    requirements: Sequence[str], roles: tuple[Role, ...], symbols: Sequence[str], *, offline: bool, thorough: bool
) -> list[Answers]:
    """The releases that the requirements name, each requirement's from the oldest to the newest."""
    from mixprec_doctor.cli.notes import tell_notes
    from mixprec_doctor.index.requirements import find_each
    from mixprec_doctor.resolving.releases import Question

    releases = [each for requirement in requirements for each in find_each(requirement, offline=offline)]
    question = Question(symbols=tuple(symbols), thorough=thorough, offline=offline)
    answers = [question(releases[0])] if len(releases) == 1 else _ask_all(question, releases)
    for release in releases:
        if not release.fits:
            name = f"{release.distribution} {release.version}"
            _tell(f"no wheel of {name} fits this interpreter; {release.file.filename} was read")
    for each in answers:
        for fault in each.faults:
            _tell(f"{each.distribution} {each.version} could not be read: {fault}")
    tell_notes(offline=offline)
    read = [replace(each, roles=_wanted(each.roles, roles)) for each in answers if not each.faults]
    if not read:
        raise NothingRead(len(releases))
    return read


def _ask_all(question: Question, releases: Sequence[Release]) -> list[Answers]:
    """The answers of several releases, read in parallel; those kept from before cost next to nothing."""
    from mixprec_doctor.cli.progress import release_progress
    from mixprec_doctor.parallel import answer_all
    from mixprec_doctor.resolving.history import dated

    kept = {each.file.key: old for each in releases if (old := question.recall(each)) is not None}
    waiting = [each for each in releases if each.file.key not in kept]
    answers = list(kept.values())
    with release_progress() as progress, closing(answer_all(waiting, question, _unread)) as reading:
        for each in reading:
            answers.append(each)
            progress(len(answers), len(releases), each)
    found = {(each.distribution, each.version): each for each in answers}
    return dated([found[each.distribution, each.version] for each in releases])


def _unread(release: Release, fault: str) -> Answers:
    return Answers(
        package=release.distribution, version=release.version, distribution=release.distribution,
        place=release.file.filename, faults=(fault,),
    )  # fmt: skip


def _wanted(found: tuple[Resolution, ...] | None, wanted: tuple[Role, ...]) -> tuple[Resolution, ...] | None:
    """Of all roles, those asked for, in the order asked."""
    if found is None or not wanted:
        return found
    by_role = {each.role: each for each in found}
    return tuple(by_role[role] for role in wanted)


def _tell(note: str) -> None:
    click.echo(f"mixprec: {note}", err=True)


def _roles(names: tuple[str, ...]) -> tuple[Role, ...]:
    known = {role.value: role for role in Role}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"no role {', '.join(map(repr, unknown))}; roles: {' '.join(known)}")
    return tuple(known[name] for name in names)


def _engine(environment: Environment, wanted: str | None, target: Target) -> InstalledEngine:
    found = [each for each in find_engines(environment) if each.engine in _ENGINES and each.root is not None]
    chosen = [each for each in found if wanted in (None, each.engine)]
    if not chosen:
        raise NotInstalled(str(target), wanted or "engine whose names could be resolved")
    if len(chosen) > 1:
        raise click.UsageError(f"both {' and '.join(each.engine for each in chosen)} are there; give --engine")
    return chosen[0]
