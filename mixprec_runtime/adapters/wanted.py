"""What a plan is to functions that work on a live model: planned tensors, and the engine's config of the mixture."""

from __future__ import annotations

__all__ = ["Planable", "Wanted", "config_for", "run_of"]

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mixprec_runtime.adapters.mixture import Mixture
from mixprec_runtime.adapters.surface import Surface
from mixprec_runtime.cache import cache_folder
from mixprec_runtime.records.mix import BASE_SOURCE
from mixprec_runtime.records.plan import LeftOut, Plan
from mixprec_runtime.runfolder import RUN_FILE, RunTensor, read_left_out, read_run, write_run_folder

Planable = Plan | str | os.PathLike[str]
_configs: dict[tuple[str, str, type], Mixture] = {}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A run folder that was read: its quantization config and every planned tensor."""

    folder: Path
    quantization: dict[str, Any]
    tensors: tuple[RunTensor, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def base(self) -> str:
        """The base model's folder."""
        return str(self.quantization["sources"][BASE_SOURCE]["path"])


def run_of(plan: Planable) -> Wanted:
    """Read a plan: a Plan, a mix file, or a run folder; the first two get a run folder in the cache.

    Raises RefusedPlan for one with errors, InvalidMix for a mix file that is none, RunFolderError for a folder that is
    none or whose checkpoints changed since.
    """
    folder = _folder_of(plan)
    tensors = read_run(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Wanted(
        folder=folder,
        quantization=config["quantization_config"],
        tensors=tensors,
        left_out=read_left_out(folder),
    )


def _folder_of(plan: Planable) -> Path:
    from mixprec_runtime.launching.errors import RefusedPlan
    from mixprec_runtime.mixfile.read import read_mix
    from mixprec_runtime.planning.planner import make_plan

    if not isinstance(plan, Plan):
        path = Path(plan)
        if path.is_dir() or path.name == RUN_FILE:
            return path if path.is_dir() else path.parent
        mix = read_mix(path)
        plan = make_plan(mix, tensor_parallel_size=mix.ranks)
    if not plan.valid:
        raise RefusedPlan(plan.findings)
    return write_run_folder(plan, root=cache_folder() / "runs")


def config_for(wanted: Wanted, model: torch.nn.Module, surface: Surface) -> tuple[Mixture, bool]:
    """The engine's config of the mixture by a model's names of layers, and whether it was made before.

    It is kept for each run folder and class of models: making the sources' configs takes the engine seconds, and which
    of its kernels work here is tried once for each shape.
    """
    key = (surface.engine, str(wanted.folder.resolve()), type(model))
    known = _configs.get(key)
    if known is not None:
        return known, True
    made: Any = surface.config.from_config(wanted.quantization)  # type: ignore[attr-defined]
    surface.rename(made, model)
    _configs[key] = made
    return made, False
