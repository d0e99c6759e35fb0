"""Run in the quantizer's environment: make checkpoints with other people's tools.

    python -m tests.matrix.third_party.make BASE CACHE [NAME ...]

Each is made in a hidden folder beside its place and renamed, so nothing half-made is ever taken for whole.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from mixprec_runtime.packing.calibration import calibration_tokens
from mixprec_runtime.packing.folder import copy_side_files
from tests.matrix.third_party.recipes import MARKER, RECIPES, Recipe, folder_of, is_current, recipe_digest

SEQUENCES, LENGTH = 4, 128  # what is calibrated hardly matters here, and BF16 is slow on CPUs without AVX-512


def make(base: Path, cache: Path, recipe: Recipe) -> None:
    """Make one checkpoint, unless it is there already."""
    place = folder_of(cache, recipe)
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{recipe.name}.", dir=place.parent))
    try:
        made = work / "made"
        if recipe.tool == "auto-round":
            made = round_with_auto_round(base, made, recipe)
        else:
            compress(base, made, recipe)
        copy_side_files(base, made)
        (made / MARKER).write_text(recipe_digest(recipe), encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def compress(base: Path, out: Path, recipe: Recipe) -> None:
    """llm-compressor: modifiers in order, then compressed-tensors as it saves them."""
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier
    from transformers import LlamaForCausalLM

    if not torch.cuda.is_available():
        torch.Tensor.pin_memory = lambda tensor: tensor  # the AWQ modifier pins its cache even where nothing copies it
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    settings: dict[str, Any] = {"ignore": ["lm_head"], **recipe.settings}
    if "scheme" in settings:
        settings["targets"] = "Linear"
    smoothers = {
        "SmoothQuant": lambda: SmoothQuantModifier(smoothing_strength=0.8),
        "AWQ": lambda: AWQModifier(n_grid=4),
    }
    modifiers: list[Any] = [smoothers[recipe.smooth]()] if recipe.smooth else []
    if recipe.tool.endswith("-gptq"):
        modifiers.append(GPTQModifier(**settings))
    else:
        modifiers.append(QuantizationModifier(**settings))
    oneshot(model=model, recipe=modifiers, dataset=calibration_set(base), num_calibration_samples=SEQUENCES)
    model.save_pretrained(out, save_compressed=True)


def calibration_set(base: Path) -> Any:
    """Token ids of the calibration text, as a data set of ready sequences."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    tokens = calibration_tokens(AutoTokenizer.from_pretrained(base), sequences=SEQUENCES, length=LENGTH)
    mask = [1] * LENGTH
    return Dataset.from_list([{"input_ids": row.tolist(), "attention_mask": mask} for row in tokens])


def round_with_auto_round(base: Path, out: Path, recipe: Recipe) -> Path:
    """auto-round, which writes the layouts of AutoGPTQ and AutoAWQ; returns the folder that it chose."""
    from auto_round import AutoRound
    from transformers import AutoTokenizer, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    tokens = calibration_tokens(tokenizer, sequences=SEQUENCES, length=LENGTH)
    batches = [{"input_ids": row[None], "attention_mask": torch.ones_like(row[None])} for row in tokens]
    tool = AutoRound(
        model,
        tokenizer,
        scheme="W4A16",
        group_size=64,
        sym=recipe.settings["sym"],
        iters=4,
        seqlen=LENGTH,
        nsamples=SEQUENCES,
        batch_size=4,
        dataset=batches,
        device_map="cpu",
    )
    tool.quantize_and_save(output_dir=str(out), format=recipe.settings["format"])
    (config,) = out.rglob("config.json")
    return config.parent


def main() -> int:
    """Make the named checkpoints that are not current; all of them without names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("names", nargs="*", choices=[[], *(recipe.name for recipe in RECIPES)])
    options = parser.parse_args()
    for recipe in RECIPES:
        if (not options.names or recipe.name in options.names) and not is_current(options.cache, recipe):
            began = time.monotonic()
            make(options.base, options.cache, recipe)
            sys.stdout.write(f"{recipe.name}: {recipe.tool}, {time.monotonic() - began:.0f} s\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
