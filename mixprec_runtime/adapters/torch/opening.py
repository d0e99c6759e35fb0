"""Opening a mixture: planned where a mix file is named, loaded strictly, with its tokenizer."""

from __future__ import annotations

__all__ = ["Loaded", "load", "prepare"]

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from mixprec_runtime.adapters.torch.quantizer import register
from mixprec_runtime.cache import cache_folder
from mixprec_runtime.launching.errors import RefusedPlan
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.records.account import LoadAccount
from mixprec_runtime.runfolder import write_run_folder

CONTEXT = 2048  # tokens, for a model whose config does not say


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A mixture that is ready to answer."""

    model: Any
    tokenizer: Any
    account: LoadAccount
    folder: Path
    context: int  # tokens that a prompt and its answer may have together


def prepare(mix: str | os.PathLike[str]) -> Path:
    """Plan a mix file and write its run folder, which ``from_pretrained`` takes.

    Raises InvalidMix, RefusedPlan, RunFolderError.
    """
    plan = make_plan(read_mix(Path(mix)), tensor_parallel_size=1)
    if not plan.valid:
        raise RefusedPlan(plan.findings)
    return write_run_folder(plan, root=cache_folder() / "runs")


def load(
    mixture: str | os.PathLike[str],
    *,
    dtype: str = "auto",
    device: str = "cpu",
    context: int | None = None,
    progress: bool = True,
) -> Loaded:
    """Load a mix file or a run folder. Raises StrictLoadingError, and what ``prepare`` raises.

    ``context`` is the largest number of tokens, by default what the model was made for.
    """
    register()
    folder = Path(mixture) if Path(mixture).is_dir() else prepare(mixture)
    shown = transformers_logging.is_progress_bar_enabled()
    if not progress:
        transformers_logging.disable_progress_bar()
    try:
        placed = {} if device == "cpu" else {"device_map": device}  # which needs accelerate
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True, **placed)
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None) or CONTEXT
    return Loaded(
        model=model,
        tokenizer=AutoTokenizer.from_pretrained(folder, local_files_only=True),
        account=model.hf_quantizer.account,
        folder=folder,
        context=min(context, most) if context else most,
    )
