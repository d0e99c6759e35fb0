"""``mixprec plan``."""

from __future__ import annotations

__all__ = ["plan"]

from pathlib import Path

import click

from mixprec_doctor.errors import ExitCode


@click.command()
@click.argument("mix", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--tensor-parallel-size", "-tp", type=click.IntRange(1, 1024), default=None,
    help="Ranks that share the model; taken from the mix file's serve section when left out.",
)  # fmt: skip
@click.option("--every-layer", is_flag=True, help="One row per module instead of one per kind of unit.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write here instead of printing.")
@click.pass_context
def plan(
    ctx: click.Context,
    mix: Path,
    tensor_parallel_size: int | None,
    every_layer: bool,
    form: str,
    output: Path | None,
) -> None:
    """Show which layer of the model comes from which checkpoint, in which format, with how many bytes.

    Only headers are read. Every fault of the mixture is listed at once. Exit code 0: it can be served; 1: it
    cannot, for the reasons shown; 2: the mix file itself is at fault.
    """
    from mixprec_doctor.cli.options import write
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.planner import make_plan

    wish = read_mix(mix)
    made = make_plan(wish, tensor_parallel_size=tensor_parallel_size or wish.ranks)
    if form == "json":
        import json

        text = json.dumps(made.to_json(), indent=2, ensure_ascii=False) + "\n"
    else:
        from mixprec_runtime.reports.console import render
        from mixprec_runtime.reports.plan_text import plan_text

        text = render(plan_text(made, every_layer=every_layer), to_file=output is not None)
    write(text, output)
    ctx.exit(ExitCode.CLEAN if made.valid else ExitCode.FINDINGS)
