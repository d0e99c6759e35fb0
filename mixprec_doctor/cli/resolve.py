"""``mixprec resolve``."""

from __future__ import annotations

__all__ = ["resolve"]

import sys
from pathlib import Path

import click

from mixprec_doctor.cli.options import check_target, no_collection, target_options, write
from mixprec_doctor.environment import Target, find_engines, read_environment
from mixprec_doctor.errors import ExitCode, MixprecError
from mixprec_doctor.records.environment import Environment, InstalledEngine
from mixprec_doctor.records.resolution import Status
from mixprec_doctor.records.role import Role
from mixprec_doctor.reports.page import page_for
from mixprec_doctor.reports.resolutions import (
    render_roles,
    render_symbols,
    roles_document,
    symbols_document,
)
from mixprec_doctor.resolving.engine import EngineSource, open_engine
from mixprec_doctor.resolving.layout import LAYOUTS

_ENGINES = tuple(layout.engine for layout in LAYOUTS)


class NotInstalled(MixprecError):
    """There is no engine to resolve names in."""

    exit_code = ExitCode.NOTHING_EXAMINED

    def __init__(self, place: str, wanted: str) -> None:
        super().__init__(place, wanted)
        self.place = place
        self.wanted = wanted

    def __str__(self) -> str:
        return f"{self.place} has no {self.wanted}\n  try: mixprec resolve --python /path/to/the/engine's/python"


@click.command()
@click.argument("requirement", nargs=-1)
@target_options
@click.option("--engine", type=click.Choice(_ENGINES), help="The engine, where an environment has both.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="A role, e.g. fp8.config; all without it.")
@click.option("--symbol", "symbols", multiple=True, metavar="NAME", help="A name of the engine, e.g. Fp8Config.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def resolve(
    *,
    requirement: tuple[str, ...],
    python: Path | None,
    site_packages: Path | None,
    engine: str | None,
    roles: tuple[str, ...],
    symbols: tuple[str, ...],
    format_: str,
) -> int:
    """Say where a role or name lives in an installed engine and how it is called, without importing it.

    Installed engines only: releases that are not installed (REQUIREMENT) cannot be read yet. Exit code: 0
    all found, 1 something is missing, 2 misuse, 3 no engine there.
    """
    if requirement:
        raise click.UsageError(
            f"{requirement[0]}: releases on the index and wheel files cannot be read yet; install it "
            "somewhere "
            "and point at that with --python EXE or --site-packages DIR"
        )
    check_target(python, site_packages)
    if roles and symbols:
        raise click.UsageError("--role and --symbol ask two different questions; give one")
    wanted = _roles(roles)
    target = Target(python=python, site_packages=site_packages)
    environment = read_environment(target)
    found = _engine(environment, engine, target)
    source = open_engine(environment, found.engine)
    with no_collection():
        return _symbols(source, found, symbols, format_) if symbols else _render(source, found, wanted, format_)


def _render(source: EngineSource, engine: InstalledEngine, roles: tuple[Role, ...], format_: str) -> int:
    """All roles without any asked for: then those that the engine has no counterpart of are no fault."""
    resolved = source.roles(roles or tuple(Role))
    text = roles_document(engine, resolved) if format_ == "json" else None
    write(text or render_roles(engine, resolved, page_for(sys.stdout)), None)
    excused = source.layout.absent if not roles else {}
    missing = [each for each in resolved if each.status is not Status.FOUND and each.role not in excused]
    return int(ExitCode.FINDINGS if missing else ExitCode.CLEAN)


def _symbols(source: EngineSource, engine: InstalledEngine, names: tuple[str, ...], format_: str) -> int:
    resolved = [source.symbol(name) for name in names]
    text = symbols_document(engine, resolved) if format_ == "json" else None
    write(text or render_symbols(engine, resolved, page_for(sys.stdout)), None)
    missing = [each for each in resolved if not (each.defined or each.importable)]
    return int(ExitCode.FINDINGS if missing else ExitCode.CLEAN)


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
