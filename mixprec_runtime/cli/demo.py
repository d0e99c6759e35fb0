"""``mixprec demo``: the whole way once, on a real small model."""

from __future__ import annotations

__all__ = ["demo"]

import re
import sys
import time

import click

from mixprec_doctor.errors import ExitCode


@click.command()
@click.option("--rebuild", is_flag=True, help="Make the five checkpoints again, even if they are there.")
@click.option("--checkpoints-only", is_flag=True, help="Make the checkpoints, print where they are, and stop.")
@click.option("--verbose", "-v", is_flag=True, help="Show the engine's own log too.")
@click.pass_context
def demo(ctx: click.Context, rebuild: bool, checkpoints_only: bool, verbose: bool) -> None:
    """Do it all once on a real small model: doctor, plan, launch, one question, figures.

    Makes five real checkpoints of SmolLM2-135M-Instruct (once; they are kept in the cache folder), mixes them into
    one model, serves it with the engine that is installed here, asks it a question, and stops.
    """
    from mixprec_runtime.adapters.vllm.command import DEFAULT_PORT
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.demo.checkpoints import demo_checkpoints
    from mixprec_runtime.demo.measure import PROMPT, ask, decode_speed
    from mixprec_runtime.demo.mixture import mix_text
    from mixprec_runtime.launching.command import ServeCommand
    from mixprec_runtime.launching.engines import choose_engine
    from mixprec_runtime.launching.errors import EngineFailed
    from mixprec_runtime.launching.launch import prepare, serve
    from mixprec_runtime.launching.server import free_port
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.planner import make_plan
    from mixprec_runtime.reports.console import render
    from mixprec_runtime.reports.plan_text import plan_text
    from mixprec_runtime.reports.progress import TerminalObserver

    began = time.monotonic()
    root = cache_folder()
    _title("1. Five checkpoints of one model")
    checkpoints = demo_checkpoints(root, rebuild=rebuild, report=_step)
    for name in ("base", "gptq", "awq", "int8", "fp8"):
        click.echo(f"  {name:5} {getattr(checkpoints, name)}")
    if checkpoints_only:
        ctx.exit(ExitCode.CLEAN)
    _title("2. mixprec doctor")
    click.echo(_doctor(), nl=False)
    choose_engine("auto")
    mix_file = root / "demo" / "mix.yaml"
    mix_file.write_text(mix_text(checkpoints, port=free_port(DEFAULT_PORT)), encoding="utf-8")
    _title(f"3. mixprec plan {mix_file}")
    wish = read_mix(mix_file)
    plan = make_plan(wish)
    click.echo(render(plan_text(plan)), nl=False)
    prepared = prepare(wish, plan, root=root, arguments=())
    _title(f"4. mixprec launch {mix_file}")
    click.echo(f"  {prepared.command.shell_line()}")
    figures: dict[str, float] = {}

    def question(command: ServeCommand) -> None:
        answer = ask(command, model=wish.file.stem)
        click.echo(f"\n  {click.style(PROMPT, bold=True)}{click.style(answer.text, fg='green')}\n")
        figures["speed"] = decode_speed(command, model=wish.file.stem)
        click.echo(f"  {figures['speed']:.1f} tokens per second (one request, greedy, {prepared.command.url})")

    with TerminalObserver(show_log=verbose) as observer:
        try:
            code = serve(prepared, observer, while_ready=question, environment=ENVIRONMENT)
        except EngineFailed as failed:
            observer.close()
            click.secho(f"mixprec: {failed}", fg="red", err=True)
            ctx.exit(failed.code or ExitCode.FINDINGS)
    if "speed" not in figures:
        ctx.exit(code or ExitCode.FINDINGS)
    click.secho(f"\n✓ done in {time.monotonic() - began:.0f} s; the engine and all its processes have ended", fg="green")
    click.echo(f"  serve it yourself: mixprec launch {mix_file}")


ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""Nothing is fetched and nothing is reported; a GiB of key-value cache is plenty for one question."""


def _step(line: str) -> None:
    """One line of the builder's progress; on a terminal a count replaces the one before it."""
    counted = COUNTED.search(line) is not None and sys.stderr.isatty()
    click.echo(f"\r\033[K  {line}" if sys.stderr.isatty() else f"  {line}", err=True, nl=not counted)


COUNTED = re.compile(r"\b\d+ of \d+\b")


def _title(text: str) -> None:
    click.secho(f"\n{text}", bold=True)


def _doctor() -> str:
    """The static report on the environment that runs this."""
    from mixprec_doctor import examine
    from mixprec_doctor.reports.page import page_for
    from mixprec_doctor.reports.text import render

    return render(examine(), page_for(sys.stdout))
