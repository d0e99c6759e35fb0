"""Makers: from the base folder to one quantized checkpoint, by llm-compressor or by mixprec's own packers.

Every maker takes the base folder and the folder to write; both are the caller's. They run in the quantizer's environment.
"""

from __future__ import annotations

__all__ = ["make_awq", "make_compressed", "make_gptq"]

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mixprec_runtime.packing.awq import awq_quantization_config, awq_tensors
from mixprec_runtime.packing.calibration import Quantizer, calibration_tokens, quantize_in_forward
from mixprec_runtime.packing.compensation import compensate, hessian
from mixprec_runtime.packing.folder import read_json, write_checkpoint
from mixprec_runtime.packing.gptq import gptq_quantization_config, gptq_tensors
from mixprec_runtime.packing.grids import CodedLinear, Shrink, encode, fit_grid

Report = Callable[[str], None]


def make_gptq(
    base: Path,
    out: Path,
    *,
    group_size: int,
    sequences: int,
    length: int,
    damping: float,
    shrink_steps: int,
    shrink_floor: float,
    report: Report,
) -> None:
    """Write a GPTQ checkpoint in the AutoGPTQ layout: symmetric, error-compensated, ``group_size`` inputs a scale."""
    shrink = Shrink(steps=shrink_steps, floor=shrink_floor)
    quantizer = partial(_gptq_quantizer, group_size=group_size, damping=damping, shrink=shrink)
    coded = _calibrate(base, quantizer, sequences=sequences, length=length, report=report)
    write_checkpoint(
        base,
        out,
        coded=coded,
        layout=gptq_tensors,
        quantization=gptq_quantization_config(group_size=group_size, damping=damping, true_sequential=True),
        side_file="quantize_config.json",
    )


def make_awq(
    base: Path,
    out: Path,
    *,
    group_size: int,
    sequences: int,
    length: int,
    shrink_steps: int,
    shrink_floor: float,
    report: Report,
) -> None:
    """Write an AWQ checkpoint in the AutoAWQ GEMM layout: zero points, ranges clipped where the activations allow."""
    shrink = Shrink(steps=shrink_steps, floor=shrink_floor)
    quantizer = partial(_awq_quantizer, group_size=group_size, shrink=shrink)
    coded = _calibrate(base, quantizer, sequences=sequences, length=length, report=report)
    write_checkpoint(
        base,
        out,
        coded=coded,
        layout=awq_tensors,
        quantization=awq_quantization_config(group_size=group_size),
        side_file=None,
    )


def make_compressed(base: Path, out: Path, *, scheme: str) -> None:
    """Write a compressed-tensors checkpoint with llm-compressor: ``scheme`` is ``FP8_DYNAMIC`` or ``W8A8``, data-free."""
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier

    model = _load(base, torch.bfloat16)
    recipe = QuantizationModifier(targets="Linear", scheme=scheme, ignore=["lm_head"])
    oneshot(model=model, recipe=recipe)
    model.save_pretrained(out, save_compressed=True)
    _tokenizer(base).save_pretrained(out)
    # The rest of the configuration stays that of the base, so that all folders differ in nothing else.
    config = read_json(base / "config.json")
    config["quantization_config"] = read_json(out / "config.json")["quantization_config"]
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _gptq_quantizer(
    weight: torch.Tensor, activations: torch.Tensor, *, group_size: int, damping: float, shrink: Shrink
) -> CodedLinear:
    moments = hessian(activations)
    grid = fit_grid(
        weight, group_size=group_size, symmetric=True, importance=moments.diagonal() / 2, shrink=shrink
    )
    return compensate(weight, grid, moments, damping=damping)


def _awq_quantizer(
    weight: torch.Tensor, activations: torch.Tensor, *, group_size: int, shrink: Shrink
) -> CodedLinear:
    importance = activations.square().mean(dim=0)
    grid = fit_grid(weight, group_size=group_size, symmetric=False, importance=importance, shrink=shrink)
    return encode(weight, grid)


def _calibrate(
    base: Path, quantizer: Quantizer, *, sequences: int, length: int, report: Report
) -> dict[str, CodedLinear]:
    tokens = calibration_tokens(_tokenizer(base), sequences=sequences, length=length)
    return dict(quantize_in_forward(_load(base, torch.float32), tokens, quantizer, report=report))


def _load(base: Path, dtype: torch.dtype) -> Any:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(base, dtype=dtype)


def _tokenizer(base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)
