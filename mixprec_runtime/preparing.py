"""Mixtures in one's own Python: the run folder and the engine's arguments; no engine is imported here."""

from __future__ import annotations

__all__ = ["Prepared", "prepare_folder"]

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mixprec_runtime.records.mix import Mix
    from mixprec_runtime.records.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run folder, and the engine arguments that the mix file and the caller give; ``said`` are the caller's own."""

    folder: Path
    given: Mapping[str, object]
    said: frozenset[str]


def prepare_folder(
    mix: str | os.PathLike[str],
    *,
    engine: str,
    refuse: Callable[[Mapping[str, object]], None],
    engine_args: Mapping[str, object],
    setup: str | os.PathLike[str] | None,
    verify: bool,
    allow_placeholders: bool,
) -> Prepared:
    """Plan a mixture, choose its kernels as ``mixprec launch`` does, and write its run folder.

    ``refuse`` raises for arguments that would load something else. Raises InvalidMix, RefusedPlan, NoEngine, KeptFrom,
    RunFolderError, and what the engine lacks.
    """
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.launching.engines import choose_engine
    from mixprec_runtime.launching.errors import RefusedPlan
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.planner import make_plan
    from mixprec_runtime.runfolder import write_run_folder

    wish = read_mix(Path(mix))
    given = {name.replace("-", "_"): value for name, value in wish.serve.items()} | dict(engine_args)
    refuse(given)
    wish = replace(wish, serve=given)
    choose_engine(engine)
    plan = make_plan(wish, tensor_parallel_size=wish.ranks)
    if not plan.valid:
        raise RefusedPlan(plan.findings)
    named = Path(setup) if setup is not None else None
    plan = _with_kernels(plan, wish, engine=engine, setup=named, prove=verify, allow_placeholders=allow_placeholders)
    folder = write_run_folder(plan, root=cache_folder() / "runs")
    return Prepared(folder=folder, given=given, said=frozenset(engine_args))


def _with_kernels(
    plan: Plan, wish: Mix, *, engine: str, setup: Path | None, prove: bool, allow_placeholders: bool
) -> Plan:
    from mixprec_runtime.cache import cache_folder
    from mixprec_runtime.launching.verified import refuse_placeholders, revalidate, setup_place
    from mixprec_runtime.launching.verified import verify as prove_missing
    from mixprec_runtime.planning.kernels import with_choices
    from mixprec_runtime.planning.workload import workload_of

    workload = workload_of(plan, wish)
    kept = setup_place(engine=engine, root=cache_folder())
    verified = revalidate(workload, engine=engine, named=setup, kept=kept)
    if verified.missing and prove:
        verified = prove_missing(workload, verified, engine=engine, kept=kept)
    if not allow_placeholders:
        refuse_placeholders(verified.choices)
    return with_choices(plan, verified.choices)
