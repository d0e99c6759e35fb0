"""``mixprec memory``."""

from __future__ import annotations

__all__ = ["memory"]

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mixprec_runtime.records.memory import MemoryReport


@click.command()
@click.argument("what", type=click.Path(path_type=Path), required=False)
@click.option(
    "--measured", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="FOLDER",
    help="Beside the plan of a mix file: what an engine wrote into this folder of a launch, or run folder.",
)  # fmt: skip
@click.option("--tensor-parallel-size", "-tp", type=click.IntRange(1, 1024), help="Ranks; else the mix file's.")
@click.option("--pipeline-parallel-size", "-pp", type=click.IntRange(1, 1024), help="Stages; else the mix file's.")
@click.option("--every-layer", is_flag=True, help="In text: a row for each layer too.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "html", "svg"]),
    help="By default what the suffix of -o says, or text.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write here instead of printing.")
def memory(
    what: Path | None,
    measured: Path | None,
    tensor_parallel_size: int | None,
    pipeline_parallel_size: int | None,
    every_layer: bool,
    form: str | None,
    output: Path | None,
) -> None:
    """Show bytes per layer, format and rank, beside BF16 and beside each checkpoint alone; as a picture if wanted.

    WHAT is a mix file (planned, nothing is loaded), or the folder of a launch or its memory.json (planned and
    measured). Left out: the latest launch.
    """
    from mixprec_doctor.cli.options import write
    from mixprec_runtime.launching.memory import is_memory
    from mixprec_runtime.reports.memory_forms import form_of, render_memory

    if what is not None and what.is_file() and not is_memory(what):
        report = _of_mix(what, measured, ranks=tensor_parallel_size, stages=pipeline_parallel_size)
    else:
        if measured or tensor_parallel_size or pipeline_parallel_size:
            raise click.UsageError("a folder tells what was measured and on how many ranks; name the mix file instead")
        report = _of_launch(what)
    write(render_memory(report, form or form_of(output), every_layer=every_layer, to_file=output is not None), output)


def _of_mix(file: Path, folder: Path | None, *, ranks: int | None, stages: int | None) -> MemoryReport:
    from mixprec_runtime.launching.errors import RefusedPlan
    from mixprec_runtime.loading.state import read_accounts
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.memory import memory_report
    from mixprec_runtime.planning.planner import make_plan
    from mixprec_runtime.planning.uniform import uniform_models
    from mixprec_runtime.records.memory import NothingMeasured

    mix = read_mix(file)
    stages = stages or mix.stages
    plan = make_plan(mix, tensor_parallel_size=ranks or mix.ranks, pipeline_parallel_size=stages)
    if not plan.valid:
        raise RefusedPlan(plan.findings)
    accounts = read_accounts(folder) if folder is not None else ()
    if folder is not None and not accounts:
        raise NothingMeasured(str(folder), "holds no account of a load", "name the folder that mixprec launch told")
    return memory_report(plan, uniform=uniform_models(mix, plan), accounts=accounts)


def _of_launch(folder: Path | None) -> MemoryReport:
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.launching.memory import latest_memory, read_memory

    return read_memory(folder if folder is not None else latest_memory(cache_folder()))
