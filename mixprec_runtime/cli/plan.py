"""``mixprec plan``."""

from __future__ import annotations

__all__ = ["plan"]

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixprec_doctor.errors import ExitCode
from mixprec_runtime.cli.fit import fit_options, is_asked, run_fit

if TYPE_CHECKING:
    from mixprec_doctor.records.kernel import KernelChoice
    from mixprec_doctor.records.workload import Workload
    from mixprec_runtime.fitting.timing import KernelsOf
    from mixprec_runtime.records.mix import Mix
    from mixprec_runtime.records.plan import Plan
    from mixprec_runtime.records.quality import QualityReport

MEASURED_TOKENS = 8192
WINDOW = 512  # tokens seen together while a text is measured


@click.command()
@click.argument("mix", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--tensor-parallel-size", "-tp", type=click.IntRange(1, 1024), default=None,
    help="Ranks that share the model; taken from the mix file's serve section when left out.",
)  # fmt: skip
@click.option(
    "--pipeline-parallel-size", "-pp", type=click.IntRange(1, 1024), default=None,
    help="Stages that share the layers; taken from the mix file's serve section when left out.",
)  # fmt: skip
@click.option("--engine", type=click.Choice(["auto", "vllm", "sglang", "torch"]), help="Overrides the mix file's.")
@click.option(
    "--against",
    metavar="REQUIREMENT",
    help="Foresee the kernels of a release, e.g. 'vllm==0.32.0', that need not be installed.",
)
@click.option(
    "--machine",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Foresee kernels for a described machine in place of this one.",
)
@click.option(
    "--measure", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="TEXT",
    help="Perplexity of the mixture on a text, beside the base and each checkpoint alone; loads them with PyTorch.",
)  # fmt: skip
@click.option(
    "--measure-tokens", type=click.IntRange(2), default=MEASURED_TOKENS, show_default=True, metavar="N",
    help="How much of the text is used, from its beginning.",
)  # fmt: skip
@fit_options
@click.option("--every-layer", is_flag=True, help="One row per module instead of one per kind of unit.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "html", "svg"]),
    help="html and svg: a picture of the bytes, layer by layer. By default what the suffix of -o says, or text.",
)  # fmt: skip
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write here instead of printing; with --fit the mix file.",
)
@click.pass_context
def plan(
    ctx: click.Context,
    mix: Path,
    tensor_parallel_size: int | None,
    pipeline_parallel_size: int | None,
    engine: str | None,
    against: str | None,
    machine: Path | None,
    measure: Path | None,
    measure_tokens: int,
    every_layer: bool,
    form: str | None,
    output: Path | None,
) -> None:
    """Show which layer of the model comes from which checkpoint, in which format, with how many bytes.

    Only headers are read, unless a text is measured. Every fault of the mixture is listed at once. Where an engine is
    installed, each layer's kernel is named too: the proved one where a launch proved it here, else what reading the
    engine says. Exit code 0: it can be served; 1: it cannot, for the reasons shown; 2: the mix file itself is at
    fault. With --fit the best mixture of the sources within a budget is found, shown and written to -o.
    """
    from mixprec_doctor.cli.options import write
    from mixprec_runtime.launching.errors import RefusedPlan
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.memory import memory_report
    from mixprec_runtime.planning.planner import make_plan
    from mixprec_runtime.planning.uniform import uniform_models
    from mixprec_runtime.reports.memory_forms import form_of

    if is_asked(ctx):
        if measure is not None:
            raise click.UsageError("--fit measures what it finds; name a text with --judge")
        wish = read_mix(mix)
        ranks, stages = tensor_parallel_size or wish.ranks, pipeline_parallel_size or wish.stages
        kernels = _kernels(engine=engine or wish.engine, against=against, machine=machine)
        run_fit(ctx, wish, ranks=ranks, stages=stages, form=form, output=output, kernels=kernels)
        return
    form = form or form_of(output)
    if measure is not None and form not in ("text", "json"):
        raise click.UsageError(f"--measure gives figures, which {form} does not show; take text or json")
    wish = read_mix(mix)
    ranks, stages = tensor_parallel_size or wish.ranks, pipeline_parallel_size or wish.stages
    made = make_plan(wish, tensor_parallel_size=ranks, pipeline_parallel_size=stages)
    if made.valid:
        made = _with_kernels(made, wish, ranks=ranks, engine=engine or wish.engine, against=against, machine=machine)
    memory = memory_report(made, uniform=uniform_models(wish, made))
    quality = None
    if measure is not None:
        if not made.valid:
            raise RefusedPlan(made.findings)
        quality = _quality(made, wish, measure, tokens=measure_tokens)
    if form == "json":
        import json

        document = {**made.to_json(), "uniform": memory.to_json()["uniform"]}
        document["quality"] = quality.to_json() if quality is not None else None
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    elif form == "text":
        from mixprec_runtime.reports.console import render
        from mixprec_runtime.reports.plan_text import plan_text

        text = render(plan_text(made, every_layer=every_layer, memory=memory), to_file=output is not None)
        if quality is not None:
            from mixprec_runtime.reports.quality_text import quality_text

            text += "\n" + render(quality_text(quality), to_file=output is not None)
    else:
        from mixprec_runtime.reports.memory_forms import render_memory

        if not made.valid:
            raise RefusedPlan(made.findings)
        text = render_memory(memory, form)
    write(text, output)
    ctx.exit(ExitCode.CLEAN if made.valid else ExitCode.FINDINGS)


def _with_kernels(made: Plan, wish: Mix, *, ranks: int, engine: str, against: str | None, machine: Path | None) -> Plan:
    from mixprec_runtime.planning.kernels import with_choices
    from mixprec_runtime.planning.workload import workload_of

    kernels = _kernels(engine=engine, against=against, machine=machine)
    return with_choices(made, kernels(workload_of(made, wish, ranks=ranks)))


def _kernels(*, engine: str, against: str | None, machine: Path | None) -> KernelsOf:
    """What serves a workload: proved here, or foreseen by reading an engine."""
    from mixprec_doctor.cli.options import no_collection
    from mixprec_doctor.machine import read_machine
    from mixprec_doctor.machine.description import read_description
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.planning.foreseen import foresee, foresee_release

    described = read_description(machine) if machine is not None else None

    def choices(workload: Workload) -> tuple[KernelChoice, ...]:
        with no_collection():
            if against is not None:
                return foresee_release(workload, against, machine=described or read_machine())
            return foresee(workload, engine=engine, root=cache_folder(), machine=described)

    return choices


def _quality(made: Plan, wish: Mix, text: Path, *, tokens: int) -> QualityReport:
    from mixprec_runtime.adapters.torch.lacking import refuse_lacking
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.cli.fetching import fetch_planned
    from mixprec_runtime.measuring.models import candidates
    from mixprec_runtime.measuring.quality import measure_quality
    from mixprec_runtime.reports.bars import counted_bar

    refuse_lacking(serving=False)
    fetch_planned(made, dry_run=False)
    models = candidates(wish, made, root=cache_folder() / "runs")
    dtype = str(wish.serve.get("dtype", "auto"))
    with counted_bar("starting PyTorch") as progress:
        return measure_quality(models, text, most_tokens=tokens, window=WINDOW, dtype=dtype, progress=progress)
