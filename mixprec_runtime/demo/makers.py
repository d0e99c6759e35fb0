"""Makers: from the base folder to one quantized checkpoint, by llm-compressor or by mixprec's own packers.

Every maker takes the base folder and the folder to write; both are the caller's. They run in the
quantizer's environment.
"""

from __future__ import annotations

__all__ = ["make_awq", "make_compressed", "make_gptq"]

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mixprec_runtime.demo.recipes import Int4Settings
from mixprec_runtime.packing.awq import awq_quantization_config, awq_tensors
from mixprec_runtime.packing.calibration import calibration_tokens, quantize_in_forward
from mixprec_runtime.packing.compensation import compensate, hessian
from mixprec_runtime.packing.folder import copy_side_files, read_json, write_checkpoint, write_json
from mixprec_runtime.packing.gptq import gptq_quantization_config, gptq_tensors
from mixprec_runtime.packing.grids import CodedLinear, Shrink, fit_grid

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Report = Callable[[str], None]


def make_gptq(base: Path, out: Path, *, settings: Int4Settings, report: Report) -> None:
    """Write a checkpoint in the AutoGPTQ layout: symmetric, error-compensated."""
    coded = _calibrate(base, settings, symmetric=True, report=report)
    quantization = gptq_quantization_config(
        group_size=settings.group_size, damping=settings.damping, true_sequential=True
    )
    write_checkpoint(
        base,
        out,
        coded=coded,
        layout=gptq_tensors,
        quantization=quantization,
        side_file="quantize_config.json",
    )


def make_awq(base: Path, out: Path, *, settings: Int4Settings, report: Report) -> None:
    """Write a checkpoint in the AutoAWQ GEMM layout: zero points, error-compensated, no scale folded into a norm."""
    coded = _calibrate(base, settings, symmetric=False, report=report)
    quantization = awq_quantization_config(group_size=settings.group_size)
    write_checkpoint(base, out, coded=coded, layout=awq_tensors, quantization=quantization, side_file=None)


def make_compressed(base: Path, out: Path, *, scheme: str) -> None:
    """Write a compressed-tensors checkpoint with llm-compressor, data-free; ``scheme``: ``FP8_DYNAMIC`` or ``W8A8``."""
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier

    model = _load(base, torch.bfloat16)
    recipe = QuantizationModifier(targets="Linear", scheme=scheme, ignore=["lm_head"])
    oneshot(model=model, recipe=recipe)
    model.save_pretrained(out, save_compressed=True)
    copy_side_files(base, out)
    # The rest of the configuration stays that of the base, so that all folders differ in nothing else.
    quantization = read_json(out / "config.json")["quantization_config"]
    write_json(out / "config.json", {**read_json(base / "config.json"), "quantization_config": quantization})


def _quantize(
    weight: torch.Tensor, activations: torch.Tensor, *, settings: Int4Settings, symmetric: bool
) -> CodedLinear:
    moments = hessian(activations)
    shrink = Shrink(steps=settings.shrink_steps, floor=settings.shrink_floor)
    grid = fit_grid(
        weight,
        group_size=settings.group_size,
        symmetric=symmetric,
        importance=moments.diagonal() / 2,
        shrink=shrink,
    )
    return compensate(weight, grid, moments, damping=settings.damping)


def _calibrate(base: Path, settings: Int4Settings, *, symmetric: bool, report: Report) -> dict[str, CodedLinear]:
    tokens = calibration_tokens(_tokenizer(base), sequences=settings.sequences, length=settings.length)
    quantizer = partial(_quantize, settings=settings, symmetric=symmetric)
    return dict(quantize_in_forward(_load(base, torch.float32), tokens, quantizer, report=report))


def _load(base: Path, dtype: torch.dtype) -> PreTrainedModel:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(base, dtype=dtype)


def _tokenizer(base: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)
