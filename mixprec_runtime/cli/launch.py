"""``mixprec launch``."""

from __future__ import annotations

__all__ = ["launch"]

from pathlib import Path

import click

from mixprec_doctor.errors import ExitCode


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
    """
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.launching.engines import choose_engine
    from mixprec_runtime.launching.errors import EngineFailed
    from mixprec_runtime.launching.launch import check_port, prepare, serve
    from mixprec_runtime.launching.sharing import shared_as_asked
    from mixprec_runtime.loading.digests import DIGESTS
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.planner import make_plan

    if setup is not None and no_verify:
        raise click.UsageError("--setup hands over what was proved and --no-verify wants nothing proved; give one")
    wish = read_mix(mix)
    chosen = choose_engine(engine or wish.engine)
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
    if not no_verify:
        from mixprec_runtime.cli.kernels import with_kernels

        if not dry_run:  # proving takes a while, and this would end it afterwards
            check_port(prepare(wish, plan, root=cache_folder(), arguments=engine_args))
        plan = with_kernels(
            plan, shared, engine=chosen, setup=setup, prove=not dry_run, allow_placeholders=allow_placeholders
        )
    prepared = prepare(wish, plan, root=cache_folder(), arguments=engine_args)
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
