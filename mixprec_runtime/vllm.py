"""Mixtures in one's own Python: ``LLM(**mixprec_runtime.vllm.prepare("mix.yaml"))``. vLLM is not imported here."""

from __future__ import annotations

__all__ = ["prepare"]

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixprec_runtime.records.mix import Mix
from mixprec_runtime.records.plan import Plan

ENGINE = "vllm"


def prepare(
    mix: str | os.PathLike[str],
    *,
    setup: str | os.PathLike[str] | None = None,
    verify: bool = True,
    allow_placeholders: bool = False,
    **engine_args: Any,  # noqa: ANN401  whatever this release of the engine takes
) -> dict[str, Any]:
    """Plan the mixture, write its run folder, and give the arguments for ``LLM`` or ``EngineArgs``.

    They are those of the file's ``serve`` that the engine itself takes (not a server's host and port), under
    ``engine_args``, which win. With ``verify``, kernels that neither ``setup`` nor an earlier start proves are tried
    first, in a process of their own, as ``mixprec launch`` does. Raises InvalidMix, RefusedPlan, NoEngine, EngineLacks,
    KeptFrom, TakenArgument, RunFolderError.
    """
    from mixprec_runtime.adapters.vllm.command import refuse_taken
    from mixprec_runtime.adapters.vllm.lacking import engine_arguments
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.launching.engines import choose_engine
    from mixprec_runtime.launching.errors import RefusedPlan
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.planner import make_plan
    from mixprec_runtime.runfolder import write_run_folder

    wish = read_mix(Path(mix))
    given = {name.replace("-", "_"): value for name, value in wish.serve.items()} | engine_args
    refuse_taken(given)
    wish = replace(wish, serve=given)
    choose_engine(ENGINE)
    plan = make_plan(wish, tensor_parallel_size=wish.ranks)
    if not plan.valid:
        raise RefusedPlan(plan.findings)
    named = Path(setup) if setup is not None else None
    plan = _with_kernels(plan, wish, setup=named, prove=verify, allow_placeholders=allow_placeholders)
    folder = write_run_folder(plan, root=cache_folder() / "runs")
    taken = engine_arguments()
    known = {name: value for name, value in given.items() if name in engine_args or name in taken}
    return {"model": str(folder), **known}


def _with_kernels(plan: Plan, wish: Mix, *, setup: Path | None, prove: bool, allow_placeholders: bool) -> Plan:
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.launching.verified import refuse_placeholders, revalidate, setup_place
    from mixprec_runtime.launching.verified import verify as prove_missing
    from mixprec_runtime.planning.kernels import with_choices
    from mixprec_runtime.planning.workload import workload_of

    workload = workload_of(plan, wish)
    kept = setup_place(engine=ENGINE, root=cache_folder())
    verified = revalidate(workload, engine=ENGINE, named=setup, kept=kept)
    if verified.missing and prove:
        verified = prove_missing(workload, verified, engine=ENGINE, kept=kept)
    if not allow_placeholders:
        refuse_placeholders(verified.choices)
    return with_choices(plan, verified.choices)
