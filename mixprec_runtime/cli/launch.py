"""``mixprec launch``."""

from __future__ import annotations

__all__ = ["launch"]

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixprec_doctor.errors import ExitCode

if TYPE_CHECKING:
    from mixprec_runtime.launching.rehearsal import Rehearsal
    from mixprec_runtime.records.mix import Mix
    from mixprec_runtime.records.plan import Plan


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("mix", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("engine_args", nargs=-1, type=click.UNPROCESSED)
@click.option("--engine", type=click.Choice(["auto", "vllm", "sglang", "torch"]), help="Overrides the mix file's.")
@click.option(
    "--setup",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="What mixprec doctor --verify --setup wrote; only what has changed since is proved again.",
)
@click.option("--no-verify", is_flag=True, help="Prove nothing before the start; the engine's process tries kernels.")
@click.option(
    "--allow-placeholders", is_flag=True, help="Start even if some layers have no kernel here; they raise when used."
)
@click.option("--dry-run", is_flag=True, help="Print the exact command and start nothing.")
@click.option(
    "--digests",
    is_flag=True,
    help="Compare the SHA-256 of every tensor with what it was at the first load; 1 s for 1 GB.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show progress and the account, not the engine's own log.")
@click.pass_context
def launch(
    ctx: click.Context,
    mix: Path,
    engine_args: tuple[str, ...],
    engine: str | None,
    setup: Path | None,
    no_verify: bool,
    allow_placeholders: bool,
    dry_run: bool,
    digests: bool,
    quiet: bool,
) -> None:
    """Serve the mixture with the engine's own OpenAI-compatible server, until Ctrl-C.

    Kernels that no setup proves yet are first tried in a process of their own, and what came of it is kept for the
    next start. Arguments after -- go to the engine as they are: mixprec launch mix.yaml -- --port 9000. The server
    listens on 127.0.0.1:8000 unless they, or the mix file's serve section, say otherwise. Returns the engine's own
    exit code once the engine has answered.

    With --dry-run and --setup no engine need be here: the setup may come from the machine that will serve.
    """
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.launching.errors import EngineFailed
    from mixprec_runtime.launching.launch import check_port, prepare, serve
    from mixprec_runtime.launching.sharing import shared_as_asked
    from mixprec_runtime.loading.digests import DIGESTS
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.planner import make_plan

    if setup is not None and no_verify:
        raise click.UsageError("--setup hands over what was proved and --no-verify wants nothing proved; give one")
    wish = read_mix(mix)
    chosen, rehearsed = _engine(engine or wish.engine, setup=setup if dry_run else None)
    shared = shared_as_asked(wish, engine_args)
    plan = make_plan(shared, tensor_parallel_size=shared.ranks, pipeline_parallel_size=shared.stages)
    if plan.findings:
        from mixprec_runtime.reports.console import render
        from mixprec_runtime.reports.plan_text import findings_text

        click.echo(render(findings_text(plan.findings, brief=plan.valid), stderr=True), err=True, nl=False)
    if not plan.valid:
        ctx.exit(ExitCode.FINDINGS)
    from mixprec_runtime.cli.fetching import fetch_planned

    fetch_planned(plan, dry_run=dry_run)
    if rehearsed is not None:
        _print_rehearsal(rehearsed, wish, shared, plan, engine_args, allow_placeholders=allow_placeholders)
        ctx.exit(ExitCode.CLEAN)
    if not no_verify:
        from mixprec_runtime.cli.kernels import with_kernels

        if not dry_run:  # proving takes a while, and this would end it afterwards
            check_port(prepare(wish, plan, root=cache_folder(), arguments=engine_args, engine=chosen))
        plan = with_kernels(
            plan, shared, engine=chosen, setup=setup, prove=not dry_run, allow_placeholders=allow_placeholders
        )
    prepared = prepare(wish, plan, root=cache_folder(), arguments=engine_args, engine=chosen)
    if dry_run:
        click.echo(prepared.command.shell_line())
        ctx.exit(ExitCode.CLEAN)
    from mixprec_runtime.reports.progress import TerminalObserver

    with TerminalObserver(show_log=not quiet) as observer:
        try:
            code = serve(prepared, observer, environment={DIGESTS: "1"} if digests else None)
        except EngineFailed as failed:
            observer.close()
            click.secho(f"mixprec: {failed}", fg="red", err=True)
            code = failed.code or ExitCode.FINDINGS
    ctx.exit(code)


def _engine(wanted: str, *, setup: Path | None) -> tuple[str, Rehearsal | None]:
    """The engine that is here, or the one of a setup made elsewhere, which can only be rehearsed. Raises NoEngine."""
    from mixprec_runtime.launching.engines import NoEngine, choose_engine
    from mixprec_runtime.launching.rehearsal import rehearse

    try:
        return choose_engine(wanted), None
    except NoEngine:
        if setup is None:
            raise
        rehearsed = rehearse(setup, engine=wanted)
        return rehearsed.setup.engine, rehearsed


def _print_rehearsal(
    rehearsed: Rehearsal,
    wish: Mix,
    shared: Mix,
    plan: Plan,
    engine_args: tuple[str, ...],
    *,
    allow_placeholders: bool,
) -> None:
    """The command as it would be on the setup's machine, and on standard error what serves each kind of layer there."""
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.launching.launch import prepare
    from mixprec_runtime.launching.verified import refuse_placeholders
    from mixprec_runtime.planning.kernels import with_choices
    from mixprec_runtime.planning.workload import workload_of
    from mixprec_runtime.reports.setup_text import rehearsed_text

    choices, missing = rehearsed.kernels(workload_of(plan, shared))
    click.echo(rehearsed_text(rehearsed.setup, choices, missing, place=str(rehearsed.file)), err=True, nl=False)
    if not allow_placeholders:
        refuse_placeholders(choices)
    prepared = prepare(
        wish, with_choices(plan, choices), root=cache_folder(), arguments=engine_args,
        engine=rehearsed.setup.engine, plugins=rehearsed.plugins,
    )  # fmt: skip
    click.echo(rehearsed.typed_there(prepared.command).shell_line())
