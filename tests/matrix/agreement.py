"""Whether a served mixture foresees a text as the same weights do in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixprec_runtime.cache import cache_folder
from mixprec_runtime.loading.state import read_accounts
from mixprec_runtime.mixfile.read import read_mix
from mixprec_runtime.planning.planner import make_plan
from mixprec_runtime.planning.units import FUSED
from mixprec_runtime.records.account import LoadAccount
from tests.matrix.launches import Launched

TEXT = (
    "Licensed under the Apache License, Version 2.0, you may not use this file except in compliance with the "
    "License. Unless required by applicable law or agreed to in writing, software distributed under the License is "
    "distributed on an as is basis, without warranties or conditions of any kind. A language model assigns a "
    "probability to every next word of a text, and a good one is rarely surprised. The old lighthouse keeper climbed "
    "the stairs every evening, lit the lamp, and wrote down the names of the ships that passed before midnight."
)
LAYOUTS = {"int8-channel": "int-quantized", "fp8-channel": "float-quantized"}


def account(mix: Path) -> LoadAccount:
    """What the latest launch of the mix wrote about its load."""
    folders = (cache_folder() / "launches").glob(f"{mix.stem}-*/account.rank0.json")
    newest = max(folders, key=lambda file: file.stat().st_mtime)
    return read_accounts(newest.parent)[0]


def parts_of(layer: str) -> list[str]:
    """Checkpoint names of an engine's layer."""
    parent, _, leaf = layer.rpartition(".")
    return [f"{parent}.{part}" for part in dict(FUSED).get(leaf, (leaf,))]


def mixture_in_float32(mix: Path) -> Any:
    """The mixture in float32: every layer dequantized from the checkpoint that the plan takes it from.

    Inputs are rounded where the kernel that served them does.
    """
    from mixprec_runtime.reference.activations import round_activations
    from mixprec_runtime.reference.weights import float32_mixture, float32_model

    plan = make_plan(read_mix(mix))
    base = plan.sources["model"].path
    sources = {layer.layer: plan.sources[layer.source].path for layer in plan.layers if layer.source != "model"}
    model = float32_model(base, float32_mixture(base, sources))
    for form, layout in LAYOUTS.items():
        served_by = [m.layer for m in account(mix).layers if m.format == form and "portable" not in m.method]
        round_activations(model, layout, only={name for layer in served_by for name in parts_of(layer)})
    return model


def log_probabilities(launched: Launched) -> tuple[list[int], list[float]]:
    """Token ids of TEXT and the engine's log-probability of each but the first."""
    answer: Any = launched.complete(TEXT, 1, prompt_logprobs=0, return_token_ids=True)
    choice = answer["choices"][0]
    ids = choice["prompt_token_ids"]
    entries = choice["prompt_logprobs"][1:]
    return ids, [entry[str(token)]["logprob"] for entry, token in zip(entries, ids[1:], strict=True)]


def reference_log_probabilities(model: Any, ids: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].to(torch.float32)
        return logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
