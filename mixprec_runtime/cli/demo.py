"""``mixprec demo``: the whole way once, on a real small model."""

from __future__ import annotations

__all__ = ["demo"]

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixprec_doctor.errors import ExitCode

if TYPE_CHECKING:
    from mixprec_runtime.demo.checkpoints import DemoCheckpoints
    from mixprec_runtime.launching.command import ServeCommand
    from mixprec_runtime.launching.launch import Launch


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
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.launching.engines import choose_engine

    began = time.monotonic()
    root = cache_folder()
    _title("1. Five checkpoints of one model")
    checkpoints = _checkpoints(root, rebuild=rebuild)
    if checkpoints_only:
        ctx.exit(ExitCode.CLEAN)
    _title("2. mixprec doctor")
    click.echo(_doctor(), nl=False)
    engine = choose_engine("auto")
    prepared = _planned(root, checkpoints, engine=engine)
    _title(f"5. mixprec launch {prepared.mix.file}")
    click.echo(f"  {prepared.command.shell_line()}")
    code = _served(prepared, verbose=verbose)
    if code:
        ctx.exit(code)
    seconds = time.monotonic() - began
    click.secho(f"\n✓ done in {seconds:.0f} s; the engine and all its processes have ended", fg="green")
    click.echo(f"  serve it yourself: mixprec launch {prepared.mix.file}")


def _checkpoints(root: Path, *, rebuild: bool) -> DemoCheckpoints:
    """The five folders, made first where they are missing; their paths are shown."""
    from mixprec_runtime.demo.checkpoints import demo_checkpoints

    checkpoints = demo_checkpoints(root, rebuild=rebuild, report=_step)
    for name in ("base", "gptq", "awq", "int8", "fp8"):
        click.echo(f"  {name:5} {getattr(checkpoints, name)}")
    return checkpoints


def _planned(root: Path, checkpoints: DemoCheckpoints, *, engine: str) -> Launch:
    """Write the mix file, show its plan, prove its kernels, and decide the launch."""
    from mixprec_runtime.cli.kernels import with_kernels
    from mixprec_runtime.demo.mixture import mix_text
    from mixprec_runtime.launching.engines import DEFAULT_PORT
    from mixprec_runtime.launching.launch import prepare
    from mixprec_runtime.launching.server import free_port
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.planner import make_plan
    from mixprec_runtime.reports.console import render
    from mixprec_runtime.reports.plan_text import plan_text

    file = root / "demo" / "mix.yaml"
    file.write_text(mix_text(checkpoints, port=free_port(DEFAULT_PORT)), encoding="utf-8")
    _title(f"3. mixprec plan {file}")
    wish = read_mix(file)
    plan = make_plan(wish)
    click.echo(render(plan_text(plan)), nl=False)
    _title("4. Which kernels work here for these layers")
    plan = with_kernels(plan, wish, engine=engine)
    return prepare(wish, plan, root=root, arguments=(), engine=engine)


def _served(prepared: Launch, *, verbose: bool) -> int:
    """Serve, ask, measure, stop; 0 when the question was answered and the engine ended as it should."""
    from mixprec_runtime.demo.measure import PROMPT, ask, decode_speed
    from mixprec_runtime.launching.errors import EngineFailed
    from mixprec_runtime.launching.launch import serve
    from mixprec_runtime.reports.progress import TerminalObserver

    answered = False

    def question(command: ServeCommand) -> None:
        nonlocal answered
        answer = ask(command, model=prepared.mix.file.stem)
        click.echo(f"\n  {click.style(PROMPT, bold=True)}{click.style(answer.text, fg='green')}\n")
        speed = decode_speed(command, model=prepared.mix.file.stem)
        click.echo(f"  {speed:.1f} tokens per second (one request, greedy, {command.url})")
        answered = True

    with TerminalObserver(show_log=verbose) as observer:
        try:
            code = serve(prepared, observer, while_ready=question, environment=ENVIRONMENT)
        except EngineFailed as failed:
            observer.close()
            click.secho(f"mixprec: {failed}", fg="red", err=True)
            return failed.code or int(ExitCode.FINDINGS)
    return code if answered else code or int(ExitCode.FINDINGS)


ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
    "MIXPREC_API_KEY": "", "VLLM_API_KEY": "",
}  # fmt: skip
"""Nothing is fetched, nothing reported, no key wanted; a GiB of key-value cache is plenty for one question."""


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
